-- What a role needs to run pipeline shop-cdc, and nothing more. Made by `snowmelt sql grants`.
-- Run it as a role that may grant this. Role, user, warehouse and state schema must be there.
-- Kinds of objects are not known without --connect: each is taken for a table. A view needs SELECT ON VIEW, a dynamic table ON DYNAMIC TABLE, a stage READ (an external one USAGE) ON STAGE, and so on.

-- to stage changes and to read what is staged
GRANT USAGE ON WAREHOUSE "WH" TO ROLE "READER";

-- to reach what is in the database
GRANT USAGE ON DATABASE "S" TO ROLE "READER";

-- to reach what is in the schema
GRANT USAGE ON SCHEMA "S"."P" TO ROLE "READER";

-- to make a stream on it and to read that; with `read = "changes"` to read its history
GRANT SELECT ON TABLE "S"."P"."T" TO ROLE "READER";

-- to capture the tables that the pattern finds now
GRANT SELECT ON ALL TABLES IN SCHEMA "S"."P" TO ROLE "READER";

-- to capture tables that are made later; it also opens those that no pattern finds
GRANT SELECT ON FUTURE TABLES IN SCHEMA "S"."P" TO ROLE "READER";

-- As the owner of each, and of each table that a view reads, to let somebody else than its owner make a stream on it
ALTER TABLE "S"."P"."T" SET CHANGE_TRACKING = TRUE;
