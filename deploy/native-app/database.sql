-- The provider's side of the walk-through, and something to capture. Run it once as a person who has ACCOUNTADMIN, or
-- SECURITYADMIN and SYSADMIN: `snow sql -f database.sql`. teardown.sql takes it all back.
-- It changes no parameter of the account, and grants nothing that a later step does not use.

-- Who builds and installs the app.
CREATE ROLE IF NOT EXISTS snowmelt_provider;
GRANT CREATE APPLICATION PACKAGE ON ACCOUNT TO ROLE snowmelt_provider;
GRANT CREATE APPLICATION ON ACCOUNT TO ROLE snowmelt_provider;
-- An app that is installed with a role gets no more than the role could give.
GRANT CREATE COMPUTE POOL ON ACCOUNT TO ROLE snowmelt_provider WITH GRANT OPTION;
GRANT CREATE WAREHOUSE ON ACCOUNT TO ROLE snowmelt_provider WITH GRANT OPTION;
GRANT CREATE EXTERNAL ACCESS INTEGRATION ON ACCOUNT TO ROLE snowmelt_provider WITH GRANT OPTION;
GRANT BIND SERVICE ENDPOINT ON ACCOUNT TO ROLE snowmelt_provider WITH GRANT OPTION;

CREATE WAREHOUSE IF NOT EXISTS snowmelt_provider
  WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 60 AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE;
GRANT USAGE ON WAREHOUSE snowmelt_provider TO ROLE snowmelt_provider;

-- Where the image lives. Outside the application package, which would be copied to every region with it.
CREATE DATABASE IF NOT EXISTS snowmelt_provider;
CREATE SCHEMA IF NOT EXISTS snowmelt_provider.images;
CREATE IMAGE REPOSITORY IF NOT EXISTS snowmelt_provider.images.repository;
GRANT USAGE ON DATABASE snowmelt_provider TO ROLE snowmelt_provider;
GRANT USAGE ON SCHEMA snowmelt_provider.images TO ROLE snowmelt_provider;
GRANT READ, WRITE ON IMAGE REPOSITORY snowmelt_provider.images.repository TO ROLE snowmelt_provider;

-- Two tables to capture, with change tracking on.
CREATE DATABASE IF NOT EXISTS shop;
CREATE SCHEMA IF NOT EXISTS shop.sales;
CREATE TABLE IF NOT EXISTS shop.sales.customers (
  id INTEGER PRIMARY KEY,
  name STRING NOT NULL,
  email STRING
);
CREATE TABLE IF NOT EXISTS shop.sales.orders (
  id INTEGER PRIMARY KEY,
  customer INTEGER NOT NULL,
  total NUMBER(12, 2) NOT NULL
);
ALTER TABLE shop.sales.customers SET CHANGE_TRACKING = TRUE;
ALTER TABLE shop.sales.orders SET CHANGE_TRACKING = TRUE;
GRANT USAGE ON DATABASE shop TO ROLE snowmelt_provider WITH GRANT OPTION;
GRANT USAGE ON SCHEMA shop.sales TO ROLE snowmelt_provider WITH GRANT OPTION;
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE shop.sales.customers TO ROLE snowmelt_provider WITH GRANT OPTION;
GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE shop.sales.orders TO ROLE snowmelt_provider WITH GRANT OPTION;

-- Whoever may be SYSADMIN may build and install.
GRANT ROLE snowmelt_provider TO ROLE SYSADMIN;
