-- What Snowflake calls. The manifest names these; they need no grant, and nobody else has a use for them.

-- Before a configuration is set. The ticket's check is the secret's too: it becomes part of a statement.
CREATE OR REPLACE PROCEDURE core.validate_configuration(name STRING, value STRING)
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  LET setting STRING := LOWER(name);
  LET fault STRING := CASE
    WHEN setting = 'relay'
      AND NOT REGEXP_LIKE(value, '[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:[0-9]{1,5}')
      THEN 'the relay is a host and a port, such as relay.example.com:443'
    WHEN setting = 'ticket' AND NOT REGEXP_LIKE(value, 'snowmelt1[.][A-Za-z0-9._~=+/-]+')
      THEN 'a ticket is one line that begins with snowmelt1. and is printed by snowmelt project ticket'
    WHEN setting = 'poll_interval' AND NOT REGEXP_LIKE(value, '[0-9]{1,6}(ms|s|m|h)')
      THEN 'the poll interval is a number with ms, s, m or h'
    WHEN setting = 'topic' AND NOT CONTAINS(value, '{table}')
      THEN 'the topic needs {table}, or all tables would share one topic'
    ELSE ''
  END;
  RETURN TO_JSON(OBJECT_CONSTRUCT(
    'type', IFF(fault = '', 'SUCCESS', 'ERROR'),
    'payload', OBJECT_CONSTRUCT('error_message', fault)));
END;
$$;

CREATE OR REPLACE PROCEDURE core.configuration_changed(name STRING)
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  LET outcome STRING;
  CALL core.reconcile() INTO :outcome;
  RETURN outcome;
END;
$$;

-- When the consumer approves or declines the relay's address. Without approval the inlet tries in vain, and says so.
CREATE OR REPLACE PROCEDURE core.specification_changed(name STRING)
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  LET outcome STRING;
  CALL core.reconcile() INTO :outcome;
  RETURN outcome;
END;
$$;

-- After the setup script, at an installation and at every upgrade; if an upgrade fails, that of the version before. A
-- service keeps image and specification until it is told of others, so it is told here, and waited for. Streams,
-- staging tables and the node's volume are not touched.
CREATE OR REPLACE PROCEDURE core.initialize()
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  LET deployed STRING := (SELECT fingerprint FROM state.service);
  LET running BOOLEAN := (SELECT running FROM state.service);
  IF (deployed IS NOT NULL) THEN
    CALL core.deploy(:deployed);
    IF (running) THEN
      SELECT SYSTEM$WAIT_FOR_SERVICES(600, 'state.snowmelt');
    END IF;
  END IF;
  RETURN 'initialized';
END;
$$;
