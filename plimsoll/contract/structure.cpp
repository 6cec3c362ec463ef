#include "plimsoll/contract/structure.hpp"

namespace plimsoll::contract {
namespace {

using enum Shape;
constexpr bool kRequired = true;
constexpr int k32 = 2;  // OpenAPI 3.2

constexpr FieldSpec kDocument[] = {
    {"openapi", text, Kind::any, kRequired},
    {"$self", text, Kind::any, false, k32},
    {"info", object, Kind::info, kRequired},
    {"jsonSchemaDialect", text},
    {"servers", list, Kind::server},
    {"paths", map, Kind::path_item},
    {"webhooks", map, Kind::path_item},
    {"components", object, Kind::components},
    {"security", list},
    {"tags", list, Kind::tag},
    {"externalDocs", object, Kind::external_docs},
};
constexpr FieldSpec kInfo[] = {
    {"title", text, Kind::any, kRequired},
    {"version", text, Kind::any, kRequired},
    {"summary", text},
    {"description", text},
    {"termsOfService", text},
    {"contact", object},
    {"license", object},
};
constexpr FieldSpec kServer[] = {
    {"url", text, Kind::any, kRequired},
    {"description", text},
    {"name", text, Kind::any, false, k32},
    {"variables", map, Kind::server_variable},
};
constexpr FieldSpec kServerVariable[] = {{"enum", list}, {"default", text}, {"description", text}};
constexpr FieldSpec kComponents[] = {
    {"schemas", map, Kind::schema},
    {"responses", map, Kind::response},
    {"parameters", map, Kind::parameter},
    {"examples", map, Kind::example},
    {"requestBodies", map, Kind::request_body},
    {"headers", map, Kind::header},
    {"securitySchemes", map, Kind::security_scheme},
    {"links", map, Kind::link},
    {"callbacks", map, Kind::callback},
    {"pathItems", map, Kind::path_item},
    {"mediaTypes", map, Kind::media_type, false, k32},
};
constexpr FieldSpec kPathItem[] = {
    {"$ref", text},
    {"summary", text},
    {"description", text},
    {"get", object, Kind::operation},
    {"put", object, Kind::operation},
    {"post", object, Kind::operation},
    {"delete", object, Kind::operation},
    {"options", object, Kind::operation},
    {"head", object, Kind::operation},
    {"patch", object, Kind::operation},
    {"trace", object, Kind::operation},
    {"query", object, Kind::operation, false, k32},
    {"additionalOperations", map, Kind::operation, false, k32},
    {"servers", list, Kind::server},
    {"parameters", list, Kind::parameter},
};
constexpr FieldSpec kOperation[] = {
    {"tags", list},
    {"summary", text},
    {"description", text},
    {"externalDocs", object, Kind::external_docs},
    {"operationId", text},
    {"parameters", list, Kind::parameter},
    {"requestBody", object, Kind::request_body},
    {"responses", map, Kind::response},
    {"callbacks", map, Kind::callback},
    {"deprecated", flag},
    {"security", list},
    {"servers", list, Kind::server},
};
constexpr FieldSpec kParameter[] = {
    {"name", text, Kind::any, kRequired},
    {"in", text, Kind::any, kRequired},
    {"description", text},
    {"required", flag},
    {"deprecated", flag},
    {"allowEmptyValue", flag},
    {"style", text},
    {"explode", flag},
    {"allowReserved", flag},
    {"schema", object, Kind::schema},
    {"example", anything},
    {"examples", map, Kind::example},
    {"content", map, Kind::media_type},
};
constexpr FieldSpec kRequestBody[] = {
    {"description", text},
    {"content", map, Kind::media_type, kRequired},
    {"required", flag},
};
constexpr FieldSpec kResponse[] = {
    {"summary", text, Kind::any, false, k32}, {"description", text},      {"headers", map, Kind::header},
    {"content", map, Kind::media_type},       {"links", map, Kind::link},
};
constexpr FieldSpec kHeader[] = {
    {"description", text},
    {"required", flag},
    {"deprecated", flag},
    {"allowEmptyValue", flag},
    {"style", text},
    {"explode", flag},
    {"allowReserved", flag},
    {"schema", object, Kind::schema},
    {"example", anything},
    {"examples", map, Kind::example},
    {"content", map, Kind::media_type},
};
constexpr FieldSpec kMediaType[] = {
    {"schema", object, Kind::schema},
    {"example", anything},
    {"examples", map, Kind::example},
    {"encoding", map, Kind::encoding},
    {"description", text, Kind::any, false, k32},
    {"itemSchema", object, Kind::schema, false, k32},
    {"prefixEncoding", list, Kind::encoding, false, k32},
    {"itemEncoding", object, Kind::encoding, false, k32},
};
constexpr FieldSpec kEncoding[] = {
    {"contentType", text},
    {"headers", map, Kind::header},
    {"style", text},
    {"explode", flag},
    {"allowReserved", flag},
    {"encoding", map, Kind::encoding, false, k32},
    {"prefixEncoding", list, Kind::encoding, false, k32},
    {"itemEncoding", object, Kind::encoding, false, k32},
};
constexpr FieldSpec kExample[] = {
    {"summary", text},
    {"description", text},
    {"value", anything},
    {"externalValue", text},
    {"dataValue", anything, Kind::any, false, k32},
    {"serializedValue", text, Kind::any, false, k32},
};
constexpr FieldSpec kLink[] = {
    {"operationRef", text},    {"operationId", text}, {"parameters", Shape::map},
    {"requestBody", anything}, {"description", text}, {"server", object, Kind::server},
};
constexpr FieldSpec kSecurityScheme[] = {
    {"type", text, Kind::any, kRequired},
    {"description", text},
    {"name", text},
    {"in", text},
    {"scheme", text},
    {"bearerFormat", text},
    {"flows", object, Kind::flows},
    {"openIdConnectUrl", text},
    {"oauth2MetadataUrl", text, Kind::any, false, k32},
    {"deprecated", flag, Kind::any, false, k32},
};
constexpr FieldSpec kFlows[] = {
    {"implicit", object, Kind::flow},
    {"password", object, Kind::flow},
    {"clientCredentials", object, Kind::flow},
    {"authorizationCode", object, Kind::flow},
    {"deviceAuthorization", object, Kind::flow, false, k32},
};
constexpr FieldSpec kFlow[] = {
    {"authorizationUrl", text},
    {"tokenUrl", text},
    {"refreshUrl", text},
    {"scopes", map},
    {"deviceAuthorizationUrl", text, Kind::any, false, k32},
};
constexpr FieldSpec kTag[] = {
    {"name", text, Kind::any, kRequired},          {"description", text},
    {"externalDocs", object, Kind::external_docs}, {"summary", text, Kind::any, false, k32},
    {"parent", text, Kind::any, false, k32},       {"kind", text, Kind::any, false, k32},
};
constexpr FieldSpec kDiscriminator[] = {
    {"propertyName", text, Kind::any, kRequired},
    {"mapping", map},
    {"defaultMapping", text, Kind::any, false, k32},
};
constexpr FieldSpec kExternalDocs[] = {{"url", text, Kind::any, kRequired}, {"description", text}};

constexpr FieldSpec kSchemaKeywords[] = {
    {"properties", map, Kind::schema},
    {"items", anything, Kind::schema},
    {"allOf", list, Kind::schema},
    {"anyOf", list, Kind::schema},
    {"oneOf", list, Kind::schema},
    {"not", object, Kind::schema},
    {"additionalProperties", object, Kind::schema},
    {"patternProperties", map, Kind::schema},
    {"prefixItems", list, Kind::schema},
    {"if", object, Kind::schema},
    {"then", object, Kind::schema},
    {"else", object, Kind::schema},
    {"contains", object, Kind::schema},
    {"propertyNames", object, Kind::schema},
    {"dependentSchemas", map, Kind::schema},
    {"unevaluatedProperties", object, Kind::schema},
    {"unevaluatedItems", object, Kind::schema},
    {"contentSchema", object, Kind::schema},
    {"$defs", map, Kind::schema},
    {"definitions", map, Kind::schema},
};

}  // namespace

std::span<const FieldSpec> fields_of(Kind kind) {
  switch (kind) {
    case Kind::document: return kDocument;
    case Kind::info: return kInfo;
    case Kind::server: return kServer;
    case Kind::server_variable: return kServerVariable;
    case Kind::components: return kComponents;
    case Kind::path_item: return kPathItem;
    case Kind::operation: return kOperation;
    case Kind::parameter: return kParameter;
    case Kind::request_body: return kRequestBody;
    case Kind::response: return kResponse;
    case Kind::header: return kHeader;
    case Kind::media_type: return kMediaType;
    case Kind::encoding: return kEncoding;
    case Kind::example: return kExample;
    case Kind::link: return kLink;
    case Kind::security_scheme: return kSecurityScheme;
    case Kind::flows: return kFlows;
    case Kind::flow: return kFlow;
    case Kind::tag: return kTag;
    case Kind::external_docs: return kExternalDocs;
    case Kind::discriminator: return kDiscriminator;
    case Kind::any:
    case Kind::schema:
    case Kind::callback: return {};
  }
  return {};
}

std::span<const FieldSpec> schema_keywords() { return kSchemaKeywords; }

std::string_view name_of(Kind kind) {
  constexpr std::string_view names[] = {"a value",
                                        "a document",
                                        "an info",
                                        "a server",
                                        "a server variable",
                                        "a components object",
                                        "a path item",
                                        "an operation",
                                        "a parameter",
                                        "a request body",
                                        "a response",
                                        "a header",
                                        "a media type",
                                        "an encoding",
                                        "a schema",
                                        "an example",
                                        "a link",
                                        "a callback",
                                        "a security scheme",
                                        "a set of OAuth flows",
                                        "an OAuth flow",
                                        "a tag",
                                        "an external documentation",
                                        "a discriminator"};
  return names[static_cast<std::size_t>(kind)];
}

bool referable(Kind kind) {
  switch (kind) {
    case Kind::path_item:
    case Kind::parameter:
    case Kind::request_body:
    case Kind::response:
    case Kind::header:
    case Kind::media_type:
    case Kind::schema:
    case Kind::example:
    case Kind::link:
    case Kind::callback:
    case Kind::security_scheme: return true;
    default: return false;
  }
}

}  // namespace plimsoll::contract
