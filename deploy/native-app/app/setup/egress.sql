-- The one address that the containers may dial. Network rule, integration and specification must agree to the letter.
CREATE OR REPLACE PROCEDURE core.allow_egress(relay STRING)
RETURNS STRING
LANGUAGE SQL
AS $$
BEGIN
  LET allowed STRING := (SELECT relay FROM state.service);
  LET prefix STRING := (SELECT prefix FROM state.service);
  IF (COALESCE(allowed, '') = relay) THEN
    RETURN relay;
  END IF;
  -- Checked by core.validate_configuration when it was set, and again here, because it becomes part of a statement.
  IF (NOT REGEXP_LIKE(relay, '[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:[0-9]{1,5}')) THEN
    RETURN NULL;
  END IF;
  -- A rule that an integration uses cannot be replaced; its list can.
  EXECUTE IMMEDIATE
    'CREATE NETWORK RULE IF NOT EXISTS state.relay TYPE = HOST_PORT MODE = EGRESS VALUE_LIST = (''' || relay || ''')';
  EXECUTE IMMEDIATE
    'ALTER NETWORK RULE state.relay SET VALUE_LIST = (''' || relay || ''')';
  EXECUTE IMMEDIATE
    'CREATE OR REPLACE EXTERNAL ACCESS INTEGRATION ' || prefix || '_RELAY'
    || ' ALLOWED_NETWORK_RULES = (state.relay) ENABLED = TRUE';
  -- Another address is another sequence number, which the consumer approves anew.
  EXECUTE IMMEDIATE
    'ALTER APPLICATION SET SPECIFICATION relay TYPE = EXTERNAL_ACCESS LABEL = ''Relay'''
    || ' DESCRIPTION = ''The one address that the publisher dials. What passes is encrypted from end to end.'''
    || ' HOST_PORTS = (''' || relay || ''')';
  UPDATE state.service SET relay = :relay;
  RETURN relay;
END;
$$;
