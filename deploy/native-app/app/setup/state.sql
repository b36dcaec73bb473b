-- What outlives a version.

-- The app's own: the list of tables, secrets, the network rule, the service. Nobody else is granted anything here.
CREATE SCHEMA IF NOT EXISTS state;
-- The publisher's state schema: streams and staging tables. Their names are the publisher's matter.
CREATE SCHEMA IF NOT EXISTS staging;
-- A view over each table that is bound by a reference, because a reference has no name that a stream could be made on.
CREATE SCHEMA IF NOT EXISTS sources;

-- name: the table as its owner calls it. source: what the publisher captures, the table itself or a view in `sources`.
-- alias: the association of the reference, NULL where access was granted by name; with it parts, the names of
-- database, schema and table, and identity, which object they stood for when it was bound. options: of core.add_table.
CREATE TABLE IF NOT EXISTS state.tables (
  name STRING NOT NULL,
  source STRING NOT NULL,
  alias STRING,
  parts ARRAY,
  identity STRING,
  options OBJECT
);

-- One row. prefix: the app's name at its installation; names in the account, and the pipeline's, keep it when the app is
-- renamed. fingerprint: of the settings that the containers were made with; NULL before there is a service.
-- relay: the address that the network rule has.
CREATE TABLE IF NOT EXISTS state.service (
  prefix STRING NOT NULL,
  running BOOLEAN NOT NULL,
  fingerprint STRING,
  relay STRING
);
INSERT INTO state.service (prefix, running)
  SELECT CURRENT_DATABASE(), FALSE WHERE NOT EXISTS (SELECT 1 FROM state.service);

-- Filled by core.reconcile from the configuration, and mounted as files.
CREATE SECRET IF NOT EXISTS state.publisher TYPE = GENERIC_STRING SECRET_STRING = 'unset';
CREATE SECRET IF NOT EXISTS state.inlet TYPE = GENERIC_STRING SECRET_STRING = 'unset';
CREATE SECRET IF NOT EXISTS state.ticket TYPE = GENERIC_STRING SECRET_STRING = 'unset';
CREATE SECRET IF NOT EXISTS state.kafka_password TYPE = GENERIC_STRING SECRET_STRING = 'unset';
