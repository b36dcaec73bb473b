-- Which tables are captured. Two ways lead here: a reference, which the consumer binds in Snowsight, and a name, to which
-- the consumer granted the app access (docs/install/native-app.md says which is better for what).

-- Lists a bound table, behind a view of its own, because a stream needs a name to be made on.
CREATE OR REPLACE PROCEDURE core.list_reference(alias STRING)
RETURNS STRING
LANGUAGE SQL
AS $$
DECLARE
  unknown EXCEPTION (-20001, 'the reference tables has no such association');
BEGIN
  LET parts ARRAY := (
    SELECT ARRAY_CONSTRUCT(value['database']::STRING, value['schema']::STRING, value['name']::STRING)
    FROM TABLE(FLATTEN(INPUT => PARSE_JSON(SYSTEM$GET_ALL_REFERENCES('tables', TRUE))))
    WHERE value['alias']::STRING = :alias
  );
  IF (parts IS NULL) THEN
    RAISE unknown;
  END IF;
  LET name STRING := '"' || REPLACE(parts[0]::STRING, '"', '""') || '"."' || REPLACE(parts[1]::STRING, '"', '""')
    || '"."' || REPLACE(parts[2]::STRING, '"', '""') || '"';
  LET view_name STRING := UPPER(REGEXP_REPLACE(
    parts[0]::STRING || '_' || parts[1]::STRING || '_' || parts[2]::STRING, '[^A-Za-z0-9_]', '_'));
  LET taken INTEGER := (SELECT COUNT(*) FROM state.tables WHERE source LIKE '%.SOURCES."' || :view_name || '"');
  IF (taken > 0) THEN
    view_name := view_name || '_' || UPPER(LEFT(alias, 8));
  END IF;
  -- Never OR REPLACE: a stream on the view would lose its place.
  EXECUTE IMMEDIATE
    'CREATE VIEW IF NOT EXISTS sources."' || view_name || '" CHANGE_TRACKING = TRUE'
    || ' AS SELECT * FROM REFERENCE(''tables'', ''' || alias || ''')';
  INSERT INTO state.tables (name, source, alias, parts, identity)
    SELECT
      :name,
      CURRENT_DATABASE() || '.SOURCES."' || :view_name || '"',
      :alias,
      :parts,
      SYSTEM$GET_REFERENCED_OBJECT_ID_HASH('tables', :alias);
  RETURN name;
END;
$$;

-- Takes tables off the list, with what only served them.
CREATE OR REPLACE PROCEDURE core.unlist(alias STRING)
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  LET gone RESULTSET := (
    SELECT source FROM state.tables WHERE alias IS NOT NULL AND alias = COALESCE(:alias, alias)
  );
  FOR row_gone IN gone DO
    EXECUTE IMMEDIATE 'DROP VIEW IF EXISTS ' || row_gone.source;
  END FOR;
  DELETE FROM state.tables WHERE alias IS NOT NULL AND alias = COALESCE(:alias, alias);
  RETURN alias;
END;
$$;

-- The callback of the reference: ADD comes with what SYSTEM$REFERENCE made, REMOVE with an alias, CLEAR with neither.
CREATE OR REPLACE PROCEDURE core.register_table(ref_name STRING, operation STRING, ref_or_alias STRING)
RETURNS STRING
LANGUAGE SQL
AS $$
DECLARE
  unknown EXCEPTION (-20002, 'a callback of a reference knows ADD, REMOVE and CLEAR');
BEGIN
  CASE (operation)
    WHEN 'ADD' THEN
      LET alias STRING := (SELECT SYSTEM$ADD_REFERENCE(:ref_name, :ref_or_alias));
      CALL core.list_reference(:alias);
    WHEN 'REMOVE' THEN
      CALL core.unlist(:ref_or_alias);
      SELECT SYSTEM$REMOVE_REFERENCE(:ref_name, :ref_or_alias);
    WHEN 'CLEAR' THEN
      CALL core.unlist(NULL);
      SELECT SYSTEM$REMOVE_ALL_REFERENCES(:ref_name);
    ELSE
      RAISE unknown;
  END CASE;
  LET outcome STRING;
  CALL core.reconcile() INTO :outcome;
  RETURN outcome;
END;
$$;
GRANT USAGE ON PROCEDURE core.register_table(STRING, STRING, STRING) TO APPLICATION ROLE app_admin;

-- A table as it is called in the list: unquoted identifiers are upper-case, quoted ones are kept.
CREATE OR REPLACE PROCEDURE core.full_name(name STRING)
RETURNS STRING
LANGUAGE SQL
AS $$
DECLARE
  partial EXCEPTION (-20003, 'a table is named by database, schema and name: SHOP.PUBLIC.ORDERS');
BEGIN
  -- It becomes part of statements, so nothing but three identifiers passes.
  IF (NOT REGEXP_LIKE(name, '([A-Za-z_][A-Za-z0-9_$]*|"([^"]|"")+")([.]([A-Za-z_][A-Za-z0-9_$]*|"([^"]|"")+")){2}')) THEN
    RAISE partial;
  END IF;
  LET quoted STRING := name;
  IF (NOT CONTAINS(name, '"')) THEN
    quoted := '"' || REPLACE(UPPER(name), '.', '"."') || '"';
  END IF;
  RETURN quoted;
END;
$$;

-- Captures a table or a view that the app was granted SELECT on, or sets the options of one that is captured already.
-- Options are those of [[tables]] in docs/configuration.md. They replace those that were set before.
CREATE OR REPLACE PROCEDURE core.add_table(name STRING, options OBJECT)
RETURNS STRING
LANGUAGE SQL
AS $$
DECLARE
  strange EXCEPTION (-20004, 'an option is not one of those in the table of options of the README');
BEGIN
  LET strangers INTEGER := (
    SELECT COUNT(*)
    FROM TABLE(FLATTEN(INPUT => :options))
    WHERE key NOT IN (
      'key', 'topic', 'snapshot', 'mode', 'stream', 'read', 'filter', 'on_stale', 'on_poison', 'include', 'exclude',
      'redact'
    )
  );
  IF (strangers > 0) THEN
    RAISE strange;
  END IF;
  LET full_name STRING;
  CALL core.full_name(:name) INTO :full_name;
  LET listed INTEGER := (SELECT COUNT(*) FROM state.tables WHERE name = :full_name);
  IF (listed > 0) THEN
    UPDATE state.tables SET options = :options WHERE name = :full_name;
  ELSE
    -- Fails here, in front of the person who can grant it, and not in a log.
    EXECUTE IMMEDIATE 'SELECT 1 FROM ' || full_name || ' LIMIT 0';
    INSERT INTO state.tables (name, source, options) SELECT :full_name, :full_name, :options;
  END IF;
  LET outcome STRING;
  CALL core.reconcile() INTO :outcome;
  RETURN outcome;
END;
$$;
GRANT USAGE ON PROCEDURE core.add_table(STRING, OBJECT) TO APPLICATION ROLE app_admin;

-- The streams in `staging` that follow what is listed under a name.
CREATE OR REPLACE PROCEDURE core.drop_streams(source STRING)
RETURNS INTEGER
LANGUAGE SQL
AS $$
BEGIN
  LET dropped INTEGER := 0;
  SHOW STREAMS IN SCHEMA staging;
  LET found RESULTSET := (
    SELECT "name" AS stream
    FROM TABLE(RESULT_SCAN(LAST_QUERY_ID()))
    WHERE REPLACE("table_name", '"', '') = REPLACE(:source, '"', '')
  );
  FOR entry IN found DO
    EXECUTE IMMEDIATE 'DROP STREAM IF EXISTS staging."' || entry.stream || '"';
    dropped := dropped + 1;
  END FOR;
  RETURN dropped;
END;
$$;

-- Takes a table off the list and waits until no container captures it; only then is its stream of no use.
CREATE OR REPLACE PROCEDURE core.remove_table(name STRING)
RETURNS STRING
LANGUAGE SQL
AS $$
DECLARE
  unknown EXCEPTION (-20005, 'no such table is captured: core.status() lists those that are');
BEGIN
  LET full_name STRING;
  CALL core.full_name(:name) INTO :full_name;
  LET listed INTEGER := (SELECT COUNT(*) FROM state.tables WHERE name = :full_name);
  IF (listed = 0) THEN
    RAISE unknown;
  END IF;
  LET source STRING := (SELECT source FROM state.tables WHERE name = :full_name);
  LET alias STRING := (SELECT alias FROM state.tables WHERE name = :full_name);
  DELETE FROM state.tables WHERE name = :full_name;
  LET outcome STRING;
  CALL core.reconcile() INTO :outcome;
  IF (outcome = 'running') THEN
    SELECT SYSTEM$WAIT_FOR_SERVICES(300, 'state.snowmelt');
  END IF;
  CALL core.drop_streams(:source);
  IF (alias IS NOT NULL) THEN
    EXECUTE IMMEDIATE 'DROP VIEW IF EXISTS ' || source;
    SELECT SYSTEM$REMOVE_REFERENCE('tables', :alias);
  END IF;
  RETURN outcome;
END;
$$;
GRANT USAGE ON PROCEDURE core.remove_table(STRING) TO APPLICATION ROLE app_admin;

-- Sends all rows of a table again. The publisher finds its stream gone and begins anew (`on_stale`, docs/operations.md).
CREATE OR REPLACE PROCEDURE core.resnapshot(name STRING)
RETURNS STRING
LANGUAGE SQL
AS $$
DECLARE
  unknown EXCEPTION (-20005, 'no such table is captured: core.status() lists those that are');
  kept EXCEPTION (-20006, 'the table has the option stream, read = changes or on_stale = halt: core.add_table changes them');
BEGIN
  LET full_name STRING;
  CALL core.full_name(:name) INTO :full_name;
  LET listed INTEGER := (SELECT COUNT(*) FROM state.tables WHERE name = :full_name);
  IF (listed = 0) THEN
    RAISE unknown;
  END IF;
  LET halting INTEGER := (
    SELECT COUNT(*)
    FROM state.tables
    WHERE
      name = :full_name
      AND (
        options['stream'] IS NOT NULL
        OR options['read']::STRING = 'changes'
        OR options['on_stale']::STRING = 'halt'
      )
  );
  IF (halting > 0) THEN
    RAISE kept;
  END IF;
  LET source STRING := (SELECT source FROM state.tables WHERE name = :full_name);
  LET dropped INTEGER;
  CALL core.drop_streams(:source) INTO :dropped;
  IF (dropped = 0) THEN
    RETURN 'it has no stream yet: its first snapshot is still to come';
  END IF;
  RETURN 'ordered';
END;
$$;
GRANT USAGE ON PROCEDURE core.resnapshot(STRING) TO APPLICATION ROLE app_admin;
