-- From what the consumer has set to what the containers read. None of these is granted to anybody: the app calls them.

-- A configuration's value, or a default where it is not set.
CREATE OR REPLACE PROCEDURE core.setting(name STRING, otherwise STRING)
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  LET value STRING := (SELECT SYS_CONTEXT('SNOWFLAKE$APPLICATION', 'GET_CONFIGURATION_VALUE', :name));
  RETURN COALESCE(NULLIF(:value, ''), :otherwise);
END;
$$;

-- [[tables]] of the publisher's configuration. A JSON string or array is one of TOML too, with all its escapes.
-- A table behind a reference is captured through a view, so its topic is named here after the table itself.
CREATE OR REPLACE PROCEDURE core.tables_of_publisher(topic STRING)
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  LET text STRING := '';
  LET listed RESULTSET := (
    SELECT
      '\n[[tables]]\nname = ' || TO_JSON(TO_VARIANT(source)) || '\n'
      || COALESCE('key = ' || TO_JSON(options['key']) || '\n', '')
      || CASE
        WHEN options['topic'] IS NOT NULL THEN 'topic = ' || TO_JSON(options['topic']) || '\n'
        WHEN alias IS NOT NULL THEN 'topic = ' || TO_JSON(TO_VARIANT(REGEXP_REPLACE(
          REPLACE(REPLACE(REPLACE(:topic,
            '{database}', parts[0]::STRING), '{schema}', parts[1]::STRING), '{table}', parts[2]::STRING),
          '[^A-Za-z0-9._-]', '_'))) || '\n'
        ELSE ''
      END
      || COALESCE('snapshot = ' || TO_JSON(options['snapshot']) || '\n', '')
      || COALESCE('mode = ' || TO_JSON(options['mode']) || '\n', '')
      || COALESCE('stream = ' || TO_JSON(options['stream']) || '\n', '')
      || COALESCE('read = ' || TO_JSON(options['read']) || '\n', '')
      || COALESCE('filter = ' || TO_JSON(options['filter']) || '\n', '')
      || COALESCE('on_stale = ' || TO_JSON(options['on_stale']) || '\n', 'on_stale = "resnapshot"\n')
      || COALESCE('on_poison = ' || TO_JSON(options['on_poison']) || '\n', '')
      || IFF(options['include'] IS NULL AND options['exclude'] IS NULL AND options['redact'] IS NULL, '', '[tables.columns]\n')
      || COALESCE('include = ' || TO_JSON(options['include']) || '\n', '')
      || COALESCE('exclude = ' || TO_JSON(options['exclude']) || '\n', '')
      || COALESCE('redact = ' || TO_JSON(options['redact']) || '\n', '') AS entry
    FROM state.tables
    ORDER BY name
  );
  FOR listing IN listed DO
    text := text || listing.entry;
  END FOR;
  RETURN text;
END;
$$;

-- The publisher's whole configuration (docs/configuration.md). The session is the app's, so names need no role.
CREATE OR REPLACE PROCEDURE core.publisher_configuration()
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  LET topic STRING;
  CALL core.setting('topic', '{database}.{schema}.{table}') INTO :topic;
  LET poll_interval STRING;
  CALL core.setting('poll_interval', '5s') INTO :poll_interval;
  LET username STRING;
  CALL core.setting('kafka_username', '') INTO :username;
  LET tables STRING;
  CALL core.tables_of_publisher(:topic) INTO :tables;
  LET sasl STRING := '';
  IF (username <> '') THEN
    sasl := '\n[kafka.sasl]\nmechanism = "SCRAM-SHA-512"\nusername = ' || TO_JSON(TO_VARIANT(username))
      || '\npassword = { file = "/run/snowmelt/kafka/secret_string" }\n';
  END IF;
  LET prefix STRING := (SELECT prefix FROM state.service);
  RETURN 'name = "' || REGEXP_REPLACE(LOWER(prefix), '[^a-z0-9-]', '-') || '"\n'
    || '\n[snowflake]\nauthenticator = "container_service"\n'
    || 'warehouse = "' || prefix || '_WAREHOUSE"\n'
    || 'state_schema = "' || CURRENT_DATABASE() || '.STAGING"\n'
    || '\n[kafka]\nbootstrap_servers = ["127.0.0.1:9092"]\n'
    || sasl
    || '\n[topics]\nname = ' || TO_JSON(TO_VARIANT(topic)) || '\n'
    || '\n[poll]\ninterval = ' || TO_JSON(TO_VARIANT(poll_interval)) || '\n'
    || tables;
END;
$$;

CREATE OR REPLACE PROCEDURE core.inlet_configuration()
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  LET outlet STRING;
  CALL core.setting('outlet', 'kafka') INTO :outlet;
  LET allow STRING;
  CALL core.setting('allow', 'snowflake-kafka-outlet') INTO :allow;
  RETURN 'to = ' || TO_JSON(TO_VARIANT(outlet)) || '\nallow = ' || TO_JSON(TO_VARIANT(allow)) || '\n';
END;
$$;

-- A secret's value cannot be bound, only written.
CREATE OR REPLACE PROCEDURE core.keep_secret(name STRING, value STRING)
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  LET literal STRING := '''' || REPLACE(REPLACE(value, '\\', '\\\\'), '''', '''''') || '''';
  EXECUTE IMMEDIATE 'ALTER SECRET state.' || name || ' SET SECRET_STRING = ' || literal;
  RETURN name;
END;
$$;
