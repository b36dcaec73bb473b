-- What a role needs to run pipeline shop-cdc, and nothing more. Made by `snowmelt sql grants`.
-- Run it as a role that may grant this. Role, user, warehouse and state schema must be there.
-- Kinds of objects are not known without --connect: each is taken for a table. A view needs SELECT ON VIEW, a dynamic table ON DYNAMIC TABLE, a stage READ (an external one USAGE) ON STAGE, and so on.

-- to log in with it
GRANT ROLE "SNOWMELT" TO USER "SNOWMELT";

-- to stage changes and to read what is staged
GRANT USAGE ON WAREHOUSE "LOAD_WH" TO ROLE "SNOWMELT";

-- to reach what is in the database
GRANT USAGE ON DATABASE "OPS" TO ROLE "SNOWMELT";
GRANT USAGE ON DATABASE "SHOP" TO ROLE "SNOWMELT";
GRANT USAGE ON DATABASE "CRM" TO ROLE "SNOWMELT";

-- to reach what is in the schema
GRANT USAGE ON SCHEMA "OPS"."state" TO ROLE "SNOWMELT";
GRANT USAGE ON SCHEMA "SHOP"."PUBLIC" TO ROLE "SNOWMELT";
GRANT USAGE ON SCHEMA "CRM"."SALES" TO ROLE "SNOWMELT";
GRANT USAGE ON SCHEMA "CRM"."STREAMS" TO ROLE "SNOWMELT";

-- to make staging tables and claims there
GRANT CREATE TABLE ON SCHEMA "OPS"."state" TO ROLE "SNOWMELT";

-- to make a stream for each captured object there
GRANT CREATE STREAM ON SCHEMA "OPS"."state" TO ROLE "SNOWMELT";

-- to make a stream on it and to read that; with `read = "changes"` to read its history
GRANT SELECT ON TABLE "SHOP"."PUBLIC"."ORDER" TO ROLE "SNOWMELT";
GRANT SELECT ON TABLE "SHOP"."PUBLIC"."Größe ""x""" TO ROLE "SNOWMELT";
GRANT SELECT ON TABLE "CRM"."SALES"."LEADS" TO ROLE "SNOWMELT";

-- to read and move a stream that is there already
GRANT SELECT ON STREAM "CRM"."STREAMS"."LEADS_S" TO ROLE "SNOWMELT";

-- As the owner of each, and of each table that a view reads, to let somebody else than its owner make a stream on it
ALTER TABLE "SHOP"."PUBLIC"."ORDER" SET CHANGE_TRACKING = TRUE;
ALTER TABLE "SHOP"."PUBLIC"."Größe ""x""" SET CHANGE_TRACKING = TRUE;
