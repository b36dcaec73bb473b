-- What a person calls. Each is granted anew, because replacing a procedure takes its grants away.

CREATE OR REPLACE PROCEDURE core.start()
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  UPDATE state.service SET running = TRUE;
  LET outcome STRING;
  CALL core.reconcile() INTO :outcome;
  RETURN outcome;
END;
$$;
GRANT USAGE ON PROCEDURE core.start() TO APPLICATION ROLE app_admin;

CREATE OR REPLACE PROCEDURE core.stop()
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  UPDATE state.service SET running = FALSE;
  LET outcome STRING;
  CALL core.reconcile() INTO :outcome;
  RETURN outcome;
END;
$$;
GRANT USAGE ON PROCEDURE core.stop() TO APPLICATION ROLE app_admin;

-- New containers of the same settings: a suffix makes another fingerprint, and the next reconciliation the former one.
CREATE OR REPLACE PROCEDURE core.restart()
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  LET deployed STRING := (SELECT fingerprint FROM state.service);
  LET running BOOLEAN := (SELECT running FROM state.service);
  IF (deployed IS NULL OR NOT running) THEN
    RETURN 'not running: call core.start()';
  END IF;
  LET again STRING := LEFT(SHA2(deployed || CURRENT_TIMESTAMP()::STRING, 256), 32);
  CALL core.deploy(:again);
  UPDATE state.service SET fingerprint = :deployed;
  RETURN 'running';
END;
$$;
GRANT USAGE ON PROCEDURE core.restart() TO APPLICATION ROLE app_admin;

-- One row for the service, one for each container and one for each table. Changes nothing.
CREATE OR REPLACE PROCEDURE core.status()
RETURNS TABLE (kind STRING, name STRING, state STRING, detail STRING)
LANGUAGE SQL
AS $$
DECLARE
  report RESULTSET;
BEGIN
  LET missing STRING;
  CALL core.missing() INTO :missing;
  LET outcome STRING := COALESCE(NULLIF(missing, ''), 'running');
  LET deployed STRING := (SELECT fingerprint FROM state.service);
  IF (deployed IS NULL) THEN
    report := (
      SELECT 'service' AS kind, 'snowmelt' AS name, :outcome AS state, relay AS detail FROM state.service
      UNION ALL
      SELECT 'table', name, 'listed', source FROM state.tables
    );
    RETURN TABLE(report);
  END IF;
  SHOW SERVICE CONTAINERS IN SERVICE state.snowmelt;
  -- A reference goes by name. Another object under the same name is taken silently, so it is told here.
  report := (
    SELECT 'container' AS kind, "container_name" AS name, "status" AS state, "message" AS detail
    FROM TABLE(RESULT_SCAN(LAST_QUERY_ID()))
    UNION ALL
    SELECT 'service', 'snowmelt', :outcome, relay FROM state.service
    UNION ALL
    SELECT
      'table',
      name,
      CASE
        WHEN alias IS NULL THEN 'granted'
        WHEN identity = SYSTEM$GET_REFERENCED_OBJECT_ID_HASH('tables', alias) THEN 'bound'
        ELSE 'replaced: remove it and bind it again'
      END,
      source
    FROM state.tables
  );
  RETURN TABLE(report);
END;
$$;
GRANT USAGE ON PROCEDURE core.status() TO APPLICATION ROLE app_viewer;

-- container: cdc-publisher or inlet.
CREATE OR REPLACE PROCEDURE core.logs(container STRING, lines INTEGER)
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  LET deployed STRING := (SELECT fingerprint FROM state.service);
  IF (deployed IS NULL) THEN
    RETURN 'there is no service yet: call core.start()';
  END IF;
  LET text STRING := (SELECT SYSTEM$GET_SERVICE_LOGS('state.snowmelt', 0, :container, :lines));
  RETURN text;
END;
$$;
GRANT USAGE ON PROCEDURE core.logs(STRING, INTEGER) TO APPLICATION ROLE app_viewer;
