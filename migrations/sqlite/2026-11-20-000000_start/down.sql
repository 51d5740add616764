DROP TABLE server;
DROP TABLE setting;
DROP TABLE change_event;
DROP TABLE process_instance;
DROP TABLE resource_ref;
DROP TABLE resource;
