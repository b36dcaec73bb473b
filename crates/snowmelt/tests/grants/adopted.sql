-- What a role needs to run pipeline shop-cdc, and nothing more. Made by `snowmelt sql grants`.
-- Run it as a role that may grant this. Role, user, warehouse and state schema must be there.
-- Kinds of objects are not known without --connect: each is taken for a table. A view needs SELECT ON VIEW, a dynamic table ON DYNAMIC TABLE, a stage READ (an external one USAGE) ON STAGE, and so on.

-- to stage changes and to read what is staged
GRANT USAGE ON WAREHOUSE "WH" TO ROLE "R";

-- to reach what is in the database
GRANT USAGE ON DATABASE "OPS" TO ROLE "R";
GRANT USAGE ON DATABASE "S" TO ROLE "R";

-- to reach what is in the schema
GRANT USAGE ON SCHEMA "OPS"."STATE" TO ROLE "R";
GRANT USAGE ON SCHEMA "S"."P" TO ROLE "R";

-- to make staging tables and claims there
GRANT CREATE TABLE ON SCHEMA "OPS"."STATE" TO ROLE "R";

-- to make a stream on it and to read that; with `read = "changes"` to read its history
GRANT SELECT ON TABLE "S"."P"."V" TO ROLE "R";

-- to read and move a stream that is there already
GRANT SELECT ON STREAM "S"."P"."VS" TO ROLE "R";
