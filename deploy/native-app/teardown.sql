-- Takes back what database.sql made, after `snow app teardown --cascade`. Run it as the same person.
DROP APPLICATION IF EXISTS snowmelt CASCADE;
DROP APPLICATION PACKAGE IF EXISTS snowmelt_package;
DROP DATABASE IF EXISTS shop;
DROP DATABASE IF EXISTS snowmelt_provider;
DROP WAREHOUSE IF EXISTS snowmelt_provider;
DROP ROLE IF EXISTS snowmelt_provider;
