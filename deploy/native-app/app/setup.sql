-- Runs at the installation and at every upgrade, and again after a failure: everything in it may run twice.
-- What is made anew each time lives in the versioned schema `core`; what must stay (the list of tables, secrets,
-- streams, staging tables, the service) in schemas of their own.
EXECUTE IMMEDIATE FROM './setup/roles.sql';
EXECUTE IMMEDIATE FROM './setup/state.sql';
EXECUTE IMMEDIATE FROM './setup/core.sql';
EXECUTE IMMEDIATE FROM './setup/settings.sql';
EXECUTE IMMEDIATE FROM './setup/egress.sql';
EXECUTE IMMEDIATE FROM './setup/service.sql';
EXECUTE IMMEDIATE FROM './setup/operation.sql';
EXECUTE IMMEDIATE FROM './setup/tables.sql';
EXECUTE IMMEDIATE FROM './setup/callbacks.sql';
EXECUTE IMMEDIATE FROM './setup/configurations.sql';
