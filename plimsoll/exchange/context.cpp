#include "plimsoll/exchange/context.hpp"

#include "plimsoll/base/owned_descriptor.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/parameter_of.hpp"
#include "plimsoll/http/field_block.hpp"

#include <algorithm>

namespace plimsoll {

void Context::Names::add(Arena& arena, FieldText name) {
  if (std::ranges::find(all(), name.view()) != all().end()) return;
  if (size == room) {
    room = room ? room * 2 : 4;
    auto* more = arena.array<std::string_view>(room);
    std::copy_n(names, size, more);
    names = more;
  }
  names[size++] = name.in(arena);
}

void Context::promise_each(const FieldBlock& block) {
  block.each([&](const Header& field) { promise(lasting(field.name), lasting(field.value)); });
}

const FieldBlock* Context::promised_fields() {
  for (auto* fields = late_; fields; fields = fields->next) fields->write(arena);
  return promised_block_;
}

Lasting Context::keep_string(std::string&& text) {
  constexpr std::size_t kLong = 1024;
  if (text.size() < kLong) return kept(std::string_view(text));
  return lasting(keep<std::string>(std::move(text)));
}

Body Context::body(std::string&& text) {
  constexpr std::size_t kLong = 16 * 1024;
  if (text.size() <= kLong) return keep_string(std::move(text));
  return std::move(text);
}

File Context::file(int descriptor, std::uint64_t offset, std::uint64_t length) {
  return lasting_file(keep<OwnedDescriptor>(descriptor).get(), offset, length);
}

Error fields_elsewhere() {
  return Error{&kInternal}.because(
      "the fields of the response are in an arena that is not the exchange's: write `Headers{context.arena}`");
}

const json::Value* parameter_of(const Context& context, std::string_view name, contract::In in) {
  const auto& input = context.input.parameters;
  for (std::size_t i = 0; context.operation && i < context.operation->parameters.size() && i < input.size(); ++i)
    if (context.operation->parameters[i].in == in && context.operation->parameters[i].name == name) return input[i];
  return nullptr;
}

void Context::deadline(Nanoseconds at, const Policy* by) {
  if (deadline_ != 0 && at >= deadline_) return;
  deadline_ = at;
  deadline_by_ = by;
  if (!scope) return;
  scope->ends_by(at);
  cut_.context = this;
  cut_.ring = [](Alarm& alarm) { static_cast<Cut&>(alarm).context->scope->stop(Stop::deadline); };
  loop.wheel().arm(cut_, loop.tick_in(std::max<Nanoseconds>(at - now, 0)));
}

}  // namespace plimsoll
