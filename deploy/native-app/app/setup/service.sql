-- The one place that makes and changes the service. Whatever may have changed something calls it; called again
-- without a change it does nothing.

-- Makes new containers if they were made with other settings, or with another version of the app.
CREATE OR REPLACE PROCEDURE core.deploy(fingerprint STRING)
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  LET deployed STRING := (SELECT fingerprint FROM state.service);
  LET prefix STRING := (SELECT prefix FROM state.service);
  IF (deployed IS NULL) THEN
    EXECUTE IMMEDIATE
      'CREATE WAREHOUSE IF NOT EXISTS ' || prefix || '_WAREHOUSE WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 60'
      || ' AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE';
    EXECUTE IMMEDIATE
      'CREATE COMPUTE POOL IF NOT EXISTS ' || prefix || '_POOL MIN_NODES = 1 MAX_NODES = 1'
      || ' INSTANCE_FAMILY = CPU_X64_XS AUTO_RESUME = TRUE AUTO_SUSPEND_SECS = 300 INITIALLY_SUSPENDED = TRUE';
    -- One instance: a second publisher is safe, and only takes the tables from the first.
    EXECUTE IMMEDIATE
      'CREATE SERVICE IF NOT EXISTS state.snowmelt IN COMPUTE POOL ' || prefix || '_POOL'
      || ' FROM SPECIFICATION_TEMPLATE_FILE = ''/service.yaml'' USING (generation => ''' || fingerprint || ''')'
      || ' EXTERNAL_ACCESS_INTEGRATIONS = (' || prefix || '_RELAY)'
      || ' AUTO_RESUME = FALSE MIN_INSTANCES = 1 MAX_INSTANCES = 1 QUERY_WAREHOUSE = ' || prefix || '_WAREHOUSE';
  ELSE
    EXECUTE IMMEDIATE
      'ALTER SERVICE state.snowmelt SET EXTERNAL_ACCESS_INTEGRATIONS = (' || prefix || '_RELAY)';
    EXECUTE IMMEDIATE
      'ALTER SERVICE state.snowmelt FROM SPECIFICATION_TEMPLATE_FILE = ''/service.yaml'''
      || ' USING (generation => ''' || fingerprint || ''')';
  END IF;
  UPDATE state.service SET fingerprint = :fingerprint;
  RETURN fingerprint;
END;
$$;

-- What keeps the service from running; empty if nothing does.
CREATE OR REPLACE PROCEDURE core.missing()
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  LET running BOOLEAN := (SELECT running FROM state.service);
  IF (NOT running) THEN
    RETURN 'stopped: call core.start()';
  END IF;
  LET relay STRING;
  CALL core.setting('relay', '') INTO :relay;
  IF (relay = '') THEN
    RETURN 'waiting for the configuration relay';
  END IF;
  LET ticket STRING;
  CALL core.setting('ticket', '') INTO :ticket;
  IF (ticket = '') THEN
    RETURN 'waiting for the configuration ticket';
  END IF;
  LET tables INTEGER := (SELECT COUNT(*) FROM state.tables);
  IF (tables = 0) THEN
    RETURN 'waiting for a table: bind one, or call core.add_table';
  END IF;
  RETURN '';
END;
$$;

-- Returns what is missing before the service can run, or that it runs.
CREATE OR REPLACE PROCEDURE core.reconcile()
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  -- Before anything else, so that the consumer can approve the address while the rest is still to come.
  LET relay STRING;
  CALL core.setting('relay', '') INTO :relay;
  IF (relay <> '') THEN
    CALL core.allow_egress(:relay);
  END IF;
  LET missing STRING;
  CALL core.missing() INTO :missing;
  IF (missing <> '') THEN
    -- Containers end within 30 seconds, and their work is taken up where it was. The machine goes minutes later.
    ALTER SERVICE IF EXISTS state.snowmelt SUSPEND;
    RETURN missing;
  END IF;

  LET publisher STRING;
  CALL core.publisher_configuration() INTO :publisher;
  LET inlet STRING;
  CALL core.inlet_configuration() INTO :inlet;
  LET ticket STRING;
  CALL core.setting('ticket', '') INTO :ticket;
  LET password STRING;
  CALL core.setting('kafka_password', 'unset') INTO :password;
  LET fingerprint STRING := LEFT(SHA2(publisher || inlet || relay || ticket || password, 256), 32);
  LET deployed STRING := (SELECT fingerprint FROM state.service);
  IF (COALESCE(deployed, '') <> fingerprint) THEN
    CALL core.keep_secret('publisher', :publisher);
    CALL core.keep_secret('inlet', :inlet);
    CALL core.keep_secret('ticket', :ticket);
    CALL core.keep_secret('kafka_password', :password);
    CALL core.deploy(:fingerprint);
  END IF;
  ALTER SERVICE state.snowmelt RESUME;
  RETURN 'running';
END;
$$;
