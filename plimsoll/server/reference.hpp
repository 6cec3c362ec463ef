#pragma once

#include <string>
#include <vector>

namespace plimsoll::server {

/// One key or option of the language, in words: what `plimsoll explain` and docs/reference say of it. All of it follows
/// from where the option is declared.
struct ReferenceEntry {
  std::string name;  ///< `rate-limit.burst`, `tables.NAME.page.max`, `limits.drain`
  bool deployment = false;
  bool key = false;        ///< a key or a section itself, whose options follow
  std::string sentence;    ///< what it is for
  std::string type;        ///< in words: `duration, such as 30s`
  std::string short_form;  ///< of a key: what may stand in the place of its object; empty: nothing
  std::string standard;    ///< the default, as it is written; empty: none
  std::string scopes;      ///< where it has an effect
  std::string example;     ///< as it is written in the file
};

/// All keys of `x-plimsoll` with their options, then all sections of the deployment with theirs.
std::vector<ReferenceEntry> reference();
/// `name:` and what there is to say, in lines.
std::string to_text(const ReferenceEntry&);
/// A page of docs/reference.
std::string reference_page(bool deployment);

/// JSON Schemas (2020-12) for editors: of an OpenAPI document with `x-plimsoll`, and of `plimsoll.yaml`.
std::string contract_schema();
std::string deployment_schema();

}  // namespace plimsoll::server
