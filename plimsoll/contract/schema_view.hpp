#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/contract/promises.hpp"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::contract {

/// Writes the schemas of a document as one direction sees them: requests without `readOnly` members, responses without
/// `writeOnly` ones, and either with a component in the place of a schema (Promises). A component that looks different
/// from one direction, or to one operation, becomes a component of its own: `OrderRequest`, `PartialOrderPage`.
class SchemaView {
 public:
  enum class Direction : std::uint8_t { none, request, response };
  struct View {
    Direction direction = Direction::none;
    const Promises::Replacement* replaced = nullptr;  ///< null: nothing
  };

  /// `extensions`: `x-plimsoll` is written, else left out.
  SchemaView(const Contract& contract, bool extensions);

  void write(std::string& out, const json::Value& schema, const View& view);
  /// A component beside those of the document; its name, or another one where the document has that.
  std::string add(const std::string& name, const std::string& schema, Direction direction);
  /// The members of `components/schemas`, those of the document first: all that were written so far refer to.
  void write_components(std::string& out);

 private:
  struct Component {
    std::string_view name;
    const json::Value* schema;
    bool read_only = false, write_only = false, defaults = false;  ///< here or in what it refers to
    std::vector<std::size_t> refers;                               ///< to components
    std::vector<std::size_t> referred;                             ///< by components
  };
  struct Place;  ///< where in a schema: marks of the members there, and how deep
  void write_at(std::string& out, const json::Value& schema, const View& view, const Place& place);
  void write_properties(std::string& out, const json::Value& properties, const View& view, const Place& place,
                        bool page);
  void write_discriminator(std::string& out, const json::Value& discriminator, const json::Value& schema,
                           const View& view);
  void write_required(std::string& out, const json::Value& required, const View& view, const Place& place,
                      bool page) const;
  void note(std::size_t component, const json::Value& schema);
  std::optional<std::size_t> component_of(std::string_view reference) const;
  std::string reference(std::string_view text, const View& view);
  /// A name that no schema of the document has.
  std::string free_name(std::string name) const;
  std::string name_of_added(const std::string& name);
  const std::set<std::size_t>& reaching(const json::Value& target);
  /// The name under which a component is seen; what it stands for is written later.
  std::string seen_as(std::size_t component, const View& view);
  bool affected(std::size_t component, const View& view);
  bool is(const json::Value& schema, const json::Value& target) const;

  const Contract& contract_;
  const bool extensions_;
  bool read_only_ = false, write_only_ = false;  ///< whether anything in the document is marked
  std::vector<Component> components_;
  std::map<std::string_view, std::size_t, std::less<>> by_name_;
  std::map<const json::Value*, std::set<std::size_t>> reaching_;
  struct Variant {
    std::size_t component;
    View view;
    Promises::Replacement replaced;
    std::string name;
  };
  std::vector<std::unique_ptr<Variant>> variants_;  ///< in the order in which they were seen first
  std::map<std::pair<std::size_t, std::string>, std::string> variant_names_;
  std::map<std::string, std::string> added_;  ///< by the name they were added under, that which they have
  std::vector<std::pair<std::string, std::string>> texts_;
  std::set<std::string, std::less<>> names_, written_;
};

}  // namespace plimsoll::contract
