#include "plimsoll/base/arena.hpp"

#include <algorithm>
#include <cstring>

namespace plimsoll {

struct Arena::Block {
  Block* before;
  std::size_t size;
};

Arena::Arena(std::size_t block) : block_(block) {}

Arena::~Arena() {
  release();
  ::operator delete(blocks_);
}

void Arena::release() {
  while (auto* end = ends_) {  // a destructor may make something itself
    ends_ = end->before;
    end->destroy(end->object);
  }
  if (!blocks_) return;
  while (blocks_->before) {
    held_ -= blocks_->size;
    ::operator delete(std::exchange(blocks_, blocks_->before));
  }
  at_ = reinterpret_cast<std::byte*>(blocks_) + sizeof(Block);
  end_ = reinterpret_cast<std::byte*>(blocks_) + blocks_->size;
}

void Arena::more(std::size_t size) {
  // Small arenas double: what needs little takes little, what needs more is not cut into crumbs.
  const auto room = std::max({block_, size + sizeof(Block), std::min(held_, kWholeBlock)});
  auto* block = static_cast<std::byte*>(::operator new(room));
  blocks_ = ::new (block) Block{blocks_, room};
  held_ += room;
  at_ = block + sizeof(Block);
  end_ = block + room;
}

std::string_view Arena::keep(std::string_view text) {
  if (text.empty()) return {};
  auto* copy = static_cast<char*>(take(text.size()));
  std::memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

}  // namespace plimsoll
