-- Never OR REPLACE: it would take the roles from those who have them.
CREATE APPLICATION ROLE IF NOT EXISTS app_admin
  COMMENT = 'Chooses tables, sets the configuration, starts and stops';
CREATE APPLICATION ROLE IF NOT EXISTS app_viewer
  COMMENT = 'Sees status and logs';
GRANT APPLICATION ROLE app_viewer TO APPLICATION ROLE app_admin;
