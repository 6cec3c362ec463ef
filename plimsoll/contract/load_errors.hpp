#pragma once

#include "plimsoll/contract/contract.hpp"

#include <string_view>

namespace plimsoll::contract {

/// One way in which a document can be refused (or warned about) while it is loaded.
struct LoadError {
  std::string_view code;    ///< kebab-case; the name of its fixture in tests/fixtures/load
  std::string_view what;    ///< what is wrong, in general
  std::string_view remedy;  ///< what to do, unless the place knows better
  Complaint::Severity severity = Complaint::Severity::error;
};

/// All of them. A complaint of the loader names an entry of this table; a test fails when an entry has no fixture.
namespace load_error {
inline constexpr auto kWarning = Complaint::Severity::warning;

inline constexpr LoadError kFileUnreadable{"file-unreadable", "The file cannot be read",
                                           "Give the path of a file that exists and can be read."};
inline constexpr LoadError kMalformedDocument{
    "malformed-document", "The file is neither YAML nor JSON",
    "Correct the text at the place named, or close the quotation mark or bracket that was "
    "opened before it."};
inline constexpr LoadError kDocumentTooLarge{"document-too-large", "The document is too large",
                                             "Split it, or leave out what is not served: 64 MiB are read at most."};
inline constexpr LoadError kNotOpenapi{"not-openapi", "The file is not an OpenAPI document",
                                       "An OpenAPI document is an object that begins with `openapi: 3.1.0`."};
inline constexpr LoadError kUnsupportedVersion{"unsupported-version", "This version of OpenAPI is not supported",
                                               "Write the document in OpenAPI 3.0, 3.1 or 3.2."};
inline constexpr LoadError kMissingField{"missing-field", "A field that must be there is missing",
                                         "Add the field; the OpenAPI specification says what it holds."};
inline constexpr LoadError kWrongType{"wrong-type", "A value has the wrong type", "Write a value of the type named."};
inline constexpr LoadError kMisspeltField{"misspelt-field", "A field is misspelt",
                                          "Correct the name, or begin it with `x-` if it is meant as an extension."};
inline constexpr LoadError kUnknownField{"unknown-field", "OpenAPI has no such field here",
                                         "Remove it, or begin its name with `x-`: it has no effect.", kWarning};
inline constexpr LoadError kExcludedField{"excluded-field", "Two fields exclude each other", "Remove one of them."};
inline constexpr LoadError kInvalidMethod{"invalid-method", "The key is not a request method",
                                          "Write a method as it is sent, such as COPY; GET, PUT, POST, DELETE, "
                                          "OPTIONS, HEAD, PATCH, TRACE and QUERY have fields of their own."};
inline constexpr LoadError kBrokenReference{"broken-reference", "The reference cannot be resolved",
                                            "Correct the `$ref`, or add what it names."};
inline constexpr LoadError kUnmappedDefault{"unmapped-default", "The discriminator's default cannot be resolved",
                                            "Name a schema of `components/schemas`, or refer to one.", kWarning};
inline constexpr LoadError kReferenceCycle{"reference-cycle", "The reference refers to itself",
                                           "Only schemas may refer to themselves; break the cycle."};
inline constexpr LoadError kNetworkReference{"network-reference", "The reference is a network URL",
                                             "A server fetches nothing while it starts: store the file beside the "
                                             "document, or combine both with `plimsoll bundle --allow-network`."};
inline constexpr LoadError kDuplicateOperationId{"duplicate-operation-id", "Two operations have the same operationId",
                                                 "Give each operation an `operationId` of its own."};
inline constexpr LoadError kInvalidPath{"invalid-path", "The path is not a valid path template",
                                        "A path begins with `/`, and each `{name}` in it is closed and named once."};
inline constexpr LoadError kAmbiguousPath{"ambiguous-path", "Two paths match the same requests",
                                          "Give both one template; the names in braces make no difference."};
inline constexpr LoadError kUnreachablePath{
    "unreachable-path", "No request can reach this path",
    "A path cannot contain `#` or `?`: the text after them is not part of the path.", kWarning};
inline constexpr LoadError kUndeclaredPathParameter{
    "undeclared-path-parameter", "The path names a parameter that is not declared",
    "Declare it under `parameters` with `in: path`, `required: true` and a schema."};
inline constexpr LoadError kUnusedPathParameter{"unused-path-parameter",
                                                "A path parameter is declared that the path does not name",
                                                "Write it into the path in braces, or remove it."};
inline constexpr LoadError kDuplicateParameter{"duplicate-parameter", "The parameter is declared twice",
                                               "Keep one parameter of each name and place."};
inline constexpr LoadError kInvalidParameter{
    "invalid-parameter", "The parameter cannot be read from a request",
    "A parameter has `name`, `in`, and either `schema` or a `content` of one type."};
inline constexpr LoadError kUnsupportedStyle{"unsupported-style", "The parameter cannot have this style",
                                             "Path: simple, label, matrix. Query: form, spaceDelimited, pipeDelimited, "
                                             "deepObject. Header: simple. Cookie: form, cookie."};
inline constexpr LoadError kInvalidSchema{"invalid-schema", "The schema cannot be compiled",
                                          "Correct the keyword named."};
inline constexpr LoadError kUnknownFormat{"unknown-format", "The format is not known",
                                          "Correct it: a format that is not known is a remark, and checks nothing.",
                                          kWarning};
inline constexpr LoadError kUnknownDialect{"unknown-dialect", "The dialect of the schemas is not known",
                                           "Remove `jsonSchemaDialect`, or name JSON Schema 2020-12, 2019-09 or "
                                           "draft 7."};
inline constexpr LoadError kInvalidDefault{"invalid-default", "The default does not satisfy its own schema",
                                           "Correct the default or the schema: it is what a handler would receive."};
inline constexpr LoadError kInvalidStatus{"invalid-status", "The key is not a status",
                                          "Write a status such as '200', a class such as 4XX, or default."};
inline constexpr LoadError kInvalidMediaType{"invalid-media-type", "The key is not a media type",
                                             "Write a media type or range such as application/json or text/*."};
inline constexpr LoadError kUncheckableBody{
    "uncheckable-body", "Bodies of this type cannot be checked against a schema",
    "Offer a JSON, form or text body, or remove the schema and take the body as it is."};
inline constexpr LoadError kUncheckedAlternative{
    "unchecked-alternative", "Bodies of this type cannot be checked and are answered with 415",
    "No action is needed if callers may send one of the other types.", kWarning};
inline constexpr LoadError kUnknownSecurityScheme{"unknown-security-scheme", "The security scheme is not declared",
                                                  "Declare it under `components/securitySchemes`."};
inline constexpr LoadError kInvalidSecurityScheme{"invalid-security-scheme", "The security scheme is incomplete",
                                                  "apiKey needs `name` and `in`; http needs `scheme`; "
                                                  "openIdConnect needs `openIdConnectUrl`; oauth2 needs `flows`."};
inline constexpr LoadError kInvalidLink{"invalid-link", "The link is invalid",
                                        "Name an operation of the document, and write values as constants or runtime "
                                        "expressions such as $response.body#/id.",
                                        kWarning};
inline constexpr LoadError kInvalidCallback{"invalid-callback", "The callback's key is not a URL",
                                            "Its key is a URL, with runtime expressions in braces: "
                                            "{$request.body#/callbackUrl}.",
                                            kWarning};
inline constexpr LoadError kInvalidServer{"invalid-server", "The server's URL cannot be used",
                                          "Write a URL or a path; each `{variable}` in it needs a `default`."};
inline constexpr LoadError kPlaceholderServer{
    "placeholder-server", "A variable of the server's URL has a placeholder as its default",
    "Give it a value that can be sent; until then the paths are served without the base path of this server.",
    kWarning};
inline constexpr LoadError kUnknownExtension{"unknown-extension", "x-plimsoll has no such key",
                                             "Correct the key; `plimsoll explain` lists them all."};
inline constexpr LoadError kMisplacedExtension{
    "misplaced-extension", "`x-plimsoll` has no effect here",
    "Write it at the top of the document, in a path of `paths`, or in one of its operations."};
inline constexpr LoadError kNoEffect{"no-effect", "The key has no effect here", "Remove it."};
inline constexpr LoadError kUndeclaredRequired{"undeclared-required", "`required` names no property of the schema",
                                               "Correct the name, or declare it under `properties`."};
inline constexpr LoadError kUnnamedRequired{
    "required-without-property", "`required` names something that is not a property of the schema",
    "Declare it under `properties`: until then its value is not checked.", kWarning};
inline constexpr LoadError kMissingSecurity{"missing-security", "The operation does not declare its security",
                                            "Write `security: []` if everybody may call it, or name the security "
                                            "scheme: other operations of the document have one.",
                                            kWarning};
inline constexpr LoadError kLaterWord{"later-word", "This version does not implement the key yet",
                                      "Remove it: nothing is ignored silently."};
inline constexpr LoadError kInvalidOverlay{"invalid-overlay", "The file is not an Overlay document",
                                           "An overlay has `overlay: 1.1.0`, `info` with `title` and `version`, and a "
                                           "list of `actions`, each with a `target`."};
inline constexpr LoadError kInvalidTarget{"invalid-target", "The target of the overlay is not a valid JSONPath",
                                          "Write a JSONPath of RFC 9535, such as $.paths['/orders'].get; "
                                          "docs/overlays.md has examples."};
inline constexpr LoadError kIncompatibleUpdate{"incompatible-update", "The overlay's value does not fit its target",
                                               "Objects are merged with objects, lists with lists, and other values "
                                               "replace values: remove the old value in an action before."};
inline constexpr LoadError kActionWithoutEffect{"action-without-effect", "The action changes nothing",
                                                "Give it `update`, `copy` or `remove: true`, or remove it.", kWarning};
inline constexpr LoadError kTargetMatchesNothing{"target-matches-nothing", "The overlay's target matches nothing",
                                                 "Correct the target, or remove the action.", kWarning};
inline constexpr LoadError kTooManyParameters{"too-many-parameters", "The path has too many parameters",
                                              "A path has at most 16 parameters and 128 segments."};

/// What is wrong in so much as to leave nothing that could be used, or is ours: `x-plimsoll`, overlays.
inline constexpr const LoadError* kNeverTolerated[] = {
    &kMalformedDocument, &kDocumentTooLarge, &kNotOpenapi,         &kUnsupportedVersion,
    &kUnknownDialect,    &kUnknownExtension, &kMisplacedExtension, &kNoEffect,
    &kLaterWord,         &kInvalidOverlay,   &kInvalidTarget,      &kIncompatibleUpdate,
};

inline constexpr const LoadError* kAll[] = {
    &kFileUnreadable,
    &kMalformedDocument,
    &kDocumentTooLarge,
    &kNotOpenapi,
    &kUnsupportedVersion,
    &kMissingField,
    &kWrongType,
    &kMisspeltField,
    &kUnknownField,
    &kExcludedField,
    &kInvalidMethod,
    &kBrokenReference,
    &kUnmappedDefault,
    &kReferenceCycle,
    &kNetworkReference,
    &kDuplicateOperationId,
    &kInvalidPath,
    &kAmbiguousPath,
    &kUnreachablePath,
    &kUndeclaredPathParameter,
    &kUnusedPathParameter,
    &kDuplicateParameter,
    &kInvalidParameter,
    &kUnsupportedStyle,
    &kInvalidSchema,
    &kUnknownFormat,
    &kUnknownDialect,
    &kInvalidDefault,
    &kInvalidStatus,
    &kInvalidMediaType,
    &kUncheckableBody,
    &kUncheckedAlternative,
    &kUnknownSecurityScheme,
    &kInvalidSecurityScheme,
    &kInvalidLink,
    &kInvalidCallback,
    &kInvalidServer,
    &kPlaceholderServer,
    &kUnknownExtension,
    &kMisplacedExtension,
    &kNoEffect,
    &kUndeclaredRequired,
    &kUnnamedRequired,
    &kMissingSecurity,
    &kLaterWord,
    &kInvalidOverlay,
    &kInvalidTarget,
    &kIncompatibleUpdate,
    &kActionWithoutEffect,
    &kTargetMatchesNothing,
    &kTooManyParameters,
};
}  // namespace load_error
}  // namespace plimsoll::contract
