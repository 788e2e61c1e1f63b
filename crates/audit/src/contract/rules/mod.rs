//! The registry: every rule, those about access first, then data, resources and inventory.

mod address_parameter;
mod admin_unguarded;
mod array_items_missing;
mod array_unbounded;
mod basic_auth;
mod body_untyped;
mod cors_any;
mod credential_in_url;
mod error_400_missing;
mod error_401_missing;
mod error_403_missing;
mod error_429_missing;
mod error_500_missing;
mod error_leak;
mod error_untyped;
mod example_secret;
mod get_body;
mod get_writes;
mod id_guessable;
mod insecure_scheme;
mod key_in_cookie;
mod key_in_query;
mod map_unbounded;
mod mass_assignment;
mod media_any;
mod media_xml;
mod method_trace;
mod number_unbounded;
mod oauth_cleartext;
mod oauth_implicit;
mod oauth_password;
mod object_open;
mod object_undescribed;
mod page_size_unbounded;
mod pagination_missing;
mod password_shown;
mod path_debug;
mod pattern_backtracking;
mod pattern_unanchored;
mod personal_in_url;
mod rate_limit_missing;
mod read_public;
mod reference_broken;
mod response_array_unbounded;
mod response_missing;
mod response_untyped;
mod retry_after_missing;
mod scheme_absent;
mod scheme_undefined;
mod scheme_unused;
mod scope_missing;
mod scope_undefined;
mod secret_exposed;
mod server_cleartext;
mod server_credentials;
mod server_internal;
mod server_missing;
mod server_test;
mod string_loose;
mod string_unbounded;
mod sunset_missing;
mod sunset_past;
mod upload_unbounded;
mod version_missing;
mod versions_side_by_side;
mod write_open;
mod write_public;

mod prelude;

use super::rule::Rule;

/// Every rule. One line each; their order is that of the reference.
pub static RULES: &[&Rule] = &[
    &write_public::RULE,
    &write_open::RULE,
    &read_public::RULE,
    &scheme_absent::RULE,
    &scheme_undefined::RULE,
    &scheme_unused::RULE,
    &scope_undefined::RULE,
    &scope_missing::RULE,
    &admin_unguarded::RULE,
    &basic_auth::RULE,
    &insecure_scheme::RULE,
    &key_in_query::RULE,
    &key_in_cookie::RULE,
    &oauth_implicit::RULE,
    &oauth_password::RULE,
    &oauth_cleartext::RULE,
    &credential_in_url::RULE,
    &personal_in_url::RULE,
    &server_cleartext::RULE,
    &server_credentials::RULE,
    &server_internal::RULE,
    &server_test::RULE,
    &server_missing::RULE,
    &error_401_missing::RULE,
    &error_403_missing::RULE,
    &error_429_missing::RULE,
    &error_400_missing::RULE,
    &error_500_missing::RULE,
    &response_missing::RULE,
    &retry_after_missing::RULE,
    &rate_limit_missing::RULE,
    &string_unbounded::RULE,
    &string_loose::RULE,
    &pattern_unanchored::RULE,
    &pattern_backtracking::RULE,
    &array_unbounded::RULE,
    &array_items_missing::RULE,
    &number_unbounded::RULE,
    &object_open::RULE,
    &object_undescribed::RULE,
    &map_unbounded::RULE,
    &mass_assignment::RULE,
    &secret_exposed::RULE,
    &password_shown::RULE,
    &id_guessable::RULE,
    &body_untyped::RULE,
    &response_untyped::RULE,
    &response_array_unbounded::RULE,
    &error_leak::RULE,
    &error_untyped::RULE,
    &address_parameter::RULE,
    &page_size_unbounded::RULE,
    &pagination_missing::RULE,
    &upload_unbounded::RULE,
    &media_any::RULE,
    &media_xml::RULE,
    &example_secret::RULE,
    &version_missing::RULE,
    &versions_side_by_side::RULE,
    &sunset_missing::RULE,
    &sunset_past::RULE,
    &path_debug::RULE,
    &method_trace::RULE,
    &get_writes::RULE,
    &get_body::RULE,
    &cors_any::RULE,
    &reference_broken::RULE,
];
