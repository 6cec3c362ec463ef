#include "plimsoll/contract/ruleset_oas.hpp"

namespace plimsoll::contract::ruleset {

const std::string_view kOasRules = R"(
formats: [oas3]
aliases:
  Path: ['$.paths[*]']
  Operation: ['#Path[get,put,post,delete,options,head,patch,trace]']
rules:
  info-contact: {description: Say whom to write to., given: $, then: {field: info.contact, function: truthy}}
  contact-properties:
    description: Give a name, a URL and an e-mail address.
    recommended: false
    given: $.info.contact
    then:
      - {field: name, function: truthy}
      - {field: url, function: truthy}
      - {field: email, function: truthy}
  info-description: {description: Say what the API is for., given: $, then: {field: info.description, function: truthy}}
  info-license: {description: Name the licence., recommended: false, given: $, then: {field: info.license, function: truthy}}
  license-url: {description: Say where the licence can be read., recommended: false, given: $, then: {field: info.license.url, function: truthy}}
  no-eval-in-markdown:
    description: Remove the call.
    given: '$..[description,title]'
    then: {function: pattern, functionOptions: {notMatch: 'eval\('}}
  no-script-tags-in-markdown:
    description: Remove the element.
    given: '$..[description,title]'
    then: {function: pattern, functionOptions: {notMatch: '<script'}}
  openapi-tags:
    description: List the tags.
    recommended: false
    given: $
    then: {field: tags, function: schema, functionOptions: {schema: {type: array, minItems: 1}}}
  openapi-tags-alphabetical:
    description: Order the tags by name.
    recommended: false
    given: $
    then: {field: tags, function: alphabetical, functionOptions: {keyedBy: name}}
  operation-tags:
    description: Give the operation a tag.
    given: '#Operation'
    then: {field: tags, function: schema, functionOptions: {schema: {type: array, minItems: 1}}}
  operation-singular-tag:
    description: Leave one tag.
    recommended: false
    given: '#Operation'
    then: {field: tags, function: length, functionOptions: {max: 1}}
  operation-operationId-valid-in-url:
    description: Use characters that a URL takes as they are.
    given: '#Operation'
    then: {field: operationId, function: pattern, functionOptions: {match: '^[\w\-.~:/?#\[\]@!$&''()*+,;=]*$'}}
  path-declarations-must-exist:
    description: Name the parameter between the braces.
    given: '$.paths[*]~'
    then: {function: pattern, functionOptions: {notMatch: '\{\}'}}
  path-not-include-query:
    description: Declare parameters of the query under `parameters`.
    given: '$.paths[*]~'
    then: {function: pattern, functionOptions: {notMatch: '\?'}}
  tag-description: {description: Say what the tag is for., recommended: false, given: '$.tags[*]', then: {field: description, function: truthy}}
  oas3-api-servers:
    description: List the servers.
    given: $
    then: {field: servers, function: schema, functionOptions: {schema: {type: array, minItems: 1}}}
  oas3-server-not-example.com:
    description: Name the server itself.
    recommended: false
    given: '$.servers[*].url'
    then: {function: pattern, functionOptions: {notMatch: 'example\.com'}}
  oas3-server-trailing-slash:
    description: Remove the slash at the end.
    given: '$.servers[*].url'
    then: {function: pattern, functionOptions: {notMatch: './$'}}
  oas3-parameter-description:
    description: Say what the parameter is for.
    recommended: false
    given: ['#Path.parameters[?(@ && @.in)]', '#Operation.parameters[?(@ && @.in)]', '$.components.parameters[?(@ && @.in)]']
    then: {field: description, function: truthy}
  typed-enum:
    description: Correct the value or the type.
    given: '$..[?(@ && @.enum && @.type)]'
    then: {function: typedEnum}
  duplicated-entry-in-enum:
    description: Remove the second.
    given: '$..[?(@property !== ''properties'' && @ && @.enum)]'
    then: {field: enum, function: schema, functionOptions: {schema: {type: array, uniqueItems: true}}}
  array-items:
    description: Say what the items are.
    severity: error
    resolved: false
    given: '$..[?(@ && @.type === ''array'')]'
    then: {field: items, function: truthy}
)";

}  // namespace plimsoll::contract::ruleset
