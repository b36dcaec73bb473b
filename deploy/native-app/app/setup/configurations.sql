-- What the consumer is asked for. Sensitive ones are not shown again, not even in the query history.
ALTER APPLICATION SET CONFIGURATION DEFINITION relay
  TYPE = STRING
  LABEL = 'Relay'
  DESCRIPTION = 'Address of your relay, host:port. The app may dial no other; approve it under app specifications.'
  APPLICATION_ROLES = (app_admin)
  SENSITIVE = FALSE;
ALTER APPLICATION SET CONFIGURATION DEFINITION ticket
  TYPE = STRING
  LABEL = 'Ticket'
  DESCRIPTION = 'What `snowmelt project ticket --attribute snowflake-kafka-inlet` prints. It works once.'
  APPLICATION_ROLES = (app_admin)
  SENSITIVE = TRUE;
ALTER APPLICATION SET CONFIGURATION DEFINITION topic
  TYPE = STRING
  LABEL = 'Topic'
  DESCRIPTION = 'Name of each table''s topic, with {database}, {schema} and {table}. Default: {database}.{schema}.{table}'
  APPLICATION_ROLES = (app_admin)
  SENSITIVE = FALSE;
ALTER APPLICATION SET CONFIGURATION DEFINITION poll_interval
  TYPE = STRING
  LABEL = 'Poll interval'
  DESCRIPTION = 'Time between two looks at an idle table, such as 5s or 1m. Default: 5s'
  APPLICATION_ROLES = (app_admin)
  SENSITIVE = FALSE;
ALTER APPLICATION SET CONFIGURATION DEFINITION outlet
  TYPE = STRING
  LABEL = 'Outlet'
  DESCRIPTION = 'Relay name of the outlet beside Kafka. Default: kafka'
  APPLICATION_ROLES = (app_admin)
  SENSITIVE = FALSE;
ALTER APPLICATION SET CONFIGURATION DEFINITION allow
  TYPE = STRING
  LABEL = 'Allowed outlets'
  DESCRIPTION = 'Attributes that the outlet must have. Default: snowflake-kafka-outlet'
  APPLICATION_ROLES = (app_admin)
  SENSITIVE = FALSE;
ALTER APPLICATION SET CONFIGURATION DEFINITION kafka_username
  TYPE = STRING
  LABEL = 'Kafka user'
  DESCRIPTION = 'User name for SASL/SCRAM-SHA-512, if the brokers ask for it'
  APPLICATION_ROLES = (app_admin)
  SENSITIVE = FALSE;
ALTER APPLICATION SET CONFIGURATION DEFINITION kafka_password
  TYPE = STRING
  LABEL = 'Kafka password'
  DESCRIPTION = 'Password of the Kafka user'
  APPLICATION_ROLES = (app_admin)
  SENSITIVE = TRUE;
