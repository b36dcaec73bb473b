-- What a role needs to run pipeline shop-cdc, and nothing more. Made by `snowmelt sql grants`.
-- Run it as a role that may grant this. Role, user, warehouse and state schema must be there.
-- *.P.T_* looks into databases by a pattern, on which nothing can be granted beforehand: grant USAGE on each of them and on their schemas, and SELECT on their tables.

-- to log in with it
GRANT ROLE "R" TO USER "u";

-- to stage changes and to read what is staged
GRANT USAGE ON WAREHOUSE "WH" TO ROLE "R";

-- to reach what is in the database
GRANT USAGE ON DATABASE "OPS" TO ROLE "R";
GRANT USAGE ON DATABASE "SHOP" TO ROLE "R";
GRANT USAGE ON DATABASE "CRM" TO ROLE "R";

-- to reach what is in the schema
GRANT USAGE ON SCHEMA "OPS"."STATE" TO ROLE "R";
GRANT USAGE ON SCHEMA "SHOP"."PUBLIC" TO ROLE "R";
GRANT USAGE ON ALL SCHEMAS IN DATABASE "CRM" TO ROLE "R";
GRANT USAGE ON FUTURE SCHEMAS IN DATABASE "CRM" TO ROLE "R";

-- to make staging tables and claims there
GRANT CREATE TABLE ON SCHEMA "OPS"."STATE" TO ROLE "R";

-- to make a stream for each captured object there
GRANT CREATE STREAM ON SCHEMA "OPS"."STATE" TO ROLE "R";

-- to capture the tables that the pattern finds now
GRANT SELECT ON ALL TABLES IN SCHEMA "SHOP"."PUBLIC" TO ROLE "R";
GRANT SELECT ON ALL TABLES IN DATABASE "CRM" TO ROLE "R";

-- to capture tables that are made later; it also opens those that no pattern finds
GRANT SELECT ON FUTURE TABLES IN SCHEMA "SHOP"."PUBLIC" TO ROLE "R";
GRANT SELECT ON FUTURE TABLES IN DATABASE "CRM" TO ROLE "R";
