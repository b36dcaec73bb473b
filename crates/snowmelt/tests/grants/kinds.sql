-- What a role needs to run pipeline shop-cdc, and nothing more. Made by `snowmelt sql grants`.
-- Run it as a role that may grant this. Role, user, warehouse and state schema must be there.
-- snowflake.warehouse is not set: grant USAGE on the user's default warehouse.
-- S.P.UNSEEN is not there, or not to be seen by who asked: taken for a table.
-- Not granted for: S.P.ODD_*: a reason

-- to reach what is in the database
GRANT USAGE ON DATABASE "OPS" TO ROLE "my role";
GRANT USAGE ON DATABASE "S" TO ROLE "my role";

-- to reach what is in the schema
GRANT USAGE ON SCHEMA "OPS"."STATE" TO ROLE "my role";
GRANT USAGE ON SCHEMA "S"."P" TO ROLE "my role";

-- to make staging tables and claims there
GRANT CREATE TABLE ON SCHEMA "OPS"."STATE" TO ROLE "my role";

-- to make a stream for each captured object there
GRANT CREATE STREAM ON SCHEMA "OPS"."STATE" TO ROLE "my role";

-- to make a stream on it and to read that; with `read = "changes"` to read its history
GRANT SELECT ON TABLE "S"."P"."T" TO ROLE "my role";
GRANT SELECT ON TABLE "S"."P"."TRACKED" TO ROLE "my role";
GRANT SELECT ON VIEW "S"."P"."V" TO ROLE "my role";
GRANT SELECT ON DYNAMIC TABLE "S"."P"."DYN" TO ROLE "my role";
GRANT SELECT ON EXTERNAL TABLE "S"."P"."EXT" TO ROLE "my role";
GRANT SELECT ON EVENT TABLE "S"."P"."EV" TO ROLE "my role";
GRANT SELECT ON ICEBERG TABLE "S"."P"."ICE" TO ROLE "my role";
GRANT SELECT ON ICEBERG TABLE "S"."P"."THEIRS" TO ROLE "my role";
GRANT READ ON STAGE "S"."P"."INBOX" TO ROLE "my role";
GRANT USAGE ON STAGE "S"."P"."OUTSIDE" TO ROLE "my role";
GRANT SELECT ON TABLE "S"."P"."UNSEEN" TO ROLE "my role";

-- As the owner of each, and of each table that a view reads, to let somebody else than its owner make a stream on it
ALTER TABLE "S"."P"."T" SET CHANGE_TRACKING = TRUE;
ALTER VIEW "S"."P"."V" SET CHANGE_TRACKING = TRUE;
ALTER TABLE "S"."P"."EV" SET CHANGE_TRACKING = TRUE;
ALTER TABLE "S"."P"."ICE" SET CHANGE_TRACKING = TRUE;
ALTER TABLE "S"."P"."UNSEEN" SET CHANGE_TRACKING = TRUE;
