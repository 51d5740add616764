DROP INDEX resource_selects_containers;
DROP INDEX resource_selects_services;
