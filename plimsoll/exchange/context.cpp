#include "plimsoll/exchange/context.hpp"

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/http/field_block.hpp"

#include <algorithm>

namespace plimsoll {

void Context::Names::add(Arena& arena, std::string_view name) {
  if (std::ranges::find(all(), name) != all().end()) return;
  if (size == room) {
    room = room ? room * 2 : 4;
    auto* more = arena.array<std::string_view>(room);
    std::copy_n(names, size, more);
    names = more;
  }
  names[size++] = name;
}

void Context::promise_each(const FieldBlock& block) {
  block.each([&](const Header& field) { promise(field.name, field.value); });
}

const FieldBlock* Context::promised_fields() {
  for (auto* fields = late_; fields; fields = fields->next) fields->write(arena);
  return promised_block_;
}

const json::Value* Context::parameter(std::string_view name) const {
  if (!operation) return nullptr;
  for (std::size_t i = 0; i < operation->parameters.size() && i < input.parameters.size(); ++i)
    if (operation->parameters[i].name == name) return input.parameters[i];
  return nullptr;
}

const json::Value* Context::parameter(std::string_view name, contract::In in) const {
  if (!operation) return nullptr;
  for (std::size_t i = 0; i < operation->parameters.size() && i < input.parameters.size(); ++i)
    if (operation->parameters[i].in == in && operation->parameters[i].name == name) return input.parameters[i];
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
