-- Services that select others, or containers: each service that is made, and each container of no service that begins to run,
-- asks for those of its project. There are few, and without these all services were read for them. The condition is written
-- in the statements that ask as it stands here.
CREATE INDEX resource_selects_services ON resource (root, account_id, id) WHERE root = 'service' AND removed_ms IS NULL AND instr(fields, '"selectorLink":"') > 0;
CREATE INDEX resource_selects_containers ON resource (root, account_id, id) WHERE root = 'service' AND removed_ms IS NULL AND instr(fields, '"selectorContainer":"') > 0;
