#pragma once

#include <string_view>

namespace plimsoll::schema {

/// Whether a text has a format. Nothing is allocated, except by `regex` and the IDN ones.
using Format = bool (*)(std::string_view text);

/// The check of a format of JSON Schema 2020-12 (Validation, section 7.3), or null when it is not known.
Format find_format(std::string_view name);
/// What a text of that format looks like, for messages: "a date such as 2026-01-31 (RFC 3339)"; empty when it is not
/// known.
std::string_view form_of(std::string_view name);

/// The format that was meant by a name that is none: one slip lies between them, capitals and hyphens are none. Empty
/// where nothing is as near as that, or the name is that of a format which is not checked.
std::string_view meant_format(std::string_view name);

// The standards behind each.
bool is_date(std::string_view);                   ///< RFC 3339, full-date
bool is_time(std::string_view);                   ///< RFC 3339, full-time
bool is_date_time(std::string_view);              ///< RFC 3339
bool is_duration(std::string_view);               ///< RFC 3339, appendix A
bool is_uuid(std::string_view);                   ///< RFC 4122
bool is_json_pointer(std::string_view);           ///< RFC 6901
bool is_relative_json_pointer(std::string_view);  ///< draft-handrews-relative-json-pointer-01
bool is_ipv4(std::string_view);                   ///< RFC 2673, section 3.2
bool is_ipv6(std::string_view);                   ///< RFC 4291, section 2.2
bool is_hostname(std::string_view);               ///< RFC 1123; A-labels by RFC 5890
bool is_idn_hostname(std::string_view);           ///< RFC 5890
bool is_email(std::string_view);                  ///< RFC 5321, Mailbox
bool is_idn_email(std::string_view);              ///< RFC 6531
bool is_uri(std::string_view);                    ///< RFC 3986
bool is_uri_reference(std::string_view);          ///< RFC 3986
bool is_iri(std::string_view);                    ///< RFC 3987
bool is_iri_reference(std::string_view);          ///< RFC 3987
bool is_uri_template(std::string_view);           ///< RFC 6570
/// One label of a name that is not plain ASCII, as U-label or `xn--…`: checked by IDNA2008.
bool is_idna_label(std::string_view label);

}  // namespace plimsoll::schema
