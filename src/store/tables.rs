//! The tables, as diesel sees them; `resource` is in `resource/write.rs`.

diesel::table! {
    resource_ref (from_id, field, to_id) {
        from_id -> BigInt,
        field -> Text,
        to_id -> BigInt,
    }
}

diesel::table! {
    process_instance (id) {
        id -> BigInt,
        resource_id -> BigInt,
        process -> Text,
        attempts -> Integer,
        run_after_ms -> BigInt,
        claimed_by -> Text,
        epoch -> BigInt,
        data -> Text,
        message -> Text,
        started_ms -> BigInt,
        ended_ms -> Nullable<BigInt>,
        exit_reason -> Text,
    }
}

diesel::table! {
    change_event (id) {
        id -> BigInt,
        resource_id -> BigInt,
        account_id -> Nullable<BigInt>,
        created_ms -> BigInt,
    }
}

diesel::table! {
    audit (id) {
        id -> BigInt,
        account_id -> Nullable<BigInt>,
        created_ms -> BigInt,
        auth_type -> Text,
        user_id -> Text,
        identity_id -> Text,
        client_ip -> Text,
        event_type -> Text,
        resource_type -> Text,
        resource_id -> Nullable<Text>,
        response_code -> Integer,
        runtime_ms -> BigInt,
        packing -> BigInt,
        bodies -> Binary,
        more -> Nullable<Text>,
        removed_ms -> Nullable<BigInt>,
        purge_after_ms -> Nullable<BigInt>,
    }
}

diesel::table! {
    audit_sample (id) {
        id -> BigInt,
        content -> Binary,
    }
}

diesel::table! {
    setting (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    credential (resource_id) {
        resource_id -> BigInt,
        kind -> Text,
        public_value -> Text,
        secret -> Text,
    }
}

diesel::table! {
    session (id) {
        id -> BigInt,
        digest -> Text,
        account_id -> BigInt,
        created_ms -> BigInt,
        expires_ms -> BigInt,
    }
}

diesel::table! {
    set_aside (resource_id) {
        resource_id -> BigInt,
        deaths -> Integer,
    }
}

diesel::table! {
    server (uuid) {
        uuid -> Text,
        epoch -> BigInt,
    }
}

#[cfg(feature = "postgres")]
diesel::table! {
    number_given (name) {
        name -> Text,
        last -> BigInt,
    }
}

#[cfg(feature = "postgres")]
diesel::table! {
    last_commit (id) {
        id -> BigInt,
    }
}

#[cfg(feature = "postgres")]
diesel::table! {
    member (id) {
        id -> BigInt,
        uuid -> Text,
        address -> Text,
        version -> Text,
        heartbeat_ms -> BigInt,
    }
}

#[cfg(feature = "postgres")]
diesel::table! {
    lease (holder) {
        holder -> Text,
        until_ms -> BigInt,
    }
}
