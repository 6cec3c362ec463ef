#include "plimsoll/exchange/body_memory.hpp"

#include "plimsoll/base/owned_descriptor.hpp"
#include "plimsoll/exchange/context.hpp"

#include <gtest/gtest.h>

#include <string>

namespace plimsoll {
namespace {

struct Exchange {
  explicit Exchange(const Services& services) : context(arena, loop, services) {}
  ~Exchange() { arena.release(); }
  Loop loop;
  Arena arena;
  Context context;
  Peer peer{.address = "192.0.2.1"};
};

std::string text_of(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  return text;
}

/// Adds it in pieces of so many bytes.
void add(Exchange& exchange, WholeBody& whole, std::string_view text, std::size_t piece) {
  const auto all = [&]() -> Task<> {
    for (std::size_t at = 0; at < text.size() && !whole.error() && whole.fits(); at += piece) {
      whole.add(as_bytes(text.substr(at, piece)));
      if (whole.spools()) co_await whole.spool();
    }
  };
  Scope scope;
  exchange.loop.spawn(scope, all());
  exchange.loop.run();
}

TEST(BodyMemory, ABodyIsTheSameInMemoryAndOnDisk) {
  Services services;
  for (const auto size : {0u, 1u, 4096u, 4097u, 65536u, 1000003u})
    for (const auto piece : {1000u, 16384u})
      for (const auto memory : {0u, 5000u, 100'000u, 10'000'000u})
        for (const bool known : {false, true}) {
          BodyMemory bodies;
          bodies.limit(memory, 1 << 30, testing::TempDir());
          const auto text = text_of(size);
          {
            Exchange exchange{services};
            WholeBody whole{exchange.context, bodies, exchange.peer, 2'000'000,
                            known ? std::optional<std::uint64_t>{size} : std::nullopt};
            add(exchange, whole, text, piece);
            ASSERT_EQ(whole.error(), nullptr);
            EXPECT_EQ(whole.text(), text) << size << " bytes in pieces of " << piece << ", memory " << memory;
            EXPECT_LE(bodies.memory(), memory);
            if (size > memory && size > BodyMemory::kUncounted) EXPECT_EQ(bodies.disk(), size);
          }
          EXPECT_EQ(bodies.memory(), 0u) << "given back with the exchange";
          EXPECT_EQ(bodies.disk(), 0u);
        }
}

TEST(BodyMemory, WhatHasRoomNeitherInMemoryNorOnDiskIsRefused) {
  Services services;
  BodyMemory bodies;
  bodies.limit(200'000, 250'000, testing::TempDir());
  std::vector<std::unique_ptr<Exchange>> exchanges;
  const auto text = text_of(100'000);
  int held = 0, refused = 0;
  for (int i = 0; i < 5; ++i) {
    auto& exchange = *exchanges.emplace_back(std::make_unique<Exchange>(services));
    exchange.peer.site = static_cast<std::uint64_t>(i) + 1;
    auto& whole = exchange.context.keep<WholeBody>(exchange.context, bodies, exchange.peer, 1 << 20, text.size());
    add(exchange, whole, text, 16384);
    if (const auto* error = whole.error()) {
      ++refused;
      EXPECT_EQ(error->problem, &kTooManyBodies);
      EXPECT_EQ(error->problem->status, 503);
      EXPECT_GE(error->more_->retry_after, 1);
    } else {
      ++held;
      EXPECT_EQ(whole.text(), text);
    }
  }
  EXPECT_EQ(held, 3) << "one in memory, two on disk";
  EXPECT_EQ(refused, 2);
  exchanges.clear();
  EXPECT_EQ(bodies.memory() + bodies.disk(), 0u);
}

TEST(BodyMemory, OneAddressHasAQuarterOrTwoBodies) {
  Services services;
  BodyMemory bodies;
  bodies.limit(0, 400'000, testing::TempDir());
  const auto text = text_of(90'000), long_text = text_of(300'000);
  const auto hold = [&](Exchange& exchange, std::string_view bytes) {
    auto& whole = exchange.context.keep<WholeBody>(exchange.context, bodies, exchange.peer, 1 << 20, std::nullopt);
    add(exchange, whole, bytes, 16384);
    return whole.error() == nullptr;
  };
  {
    Exchange first{services}, second{services}, third{services}, other{services};
    other.peer.address = "192.0.2.2";
    EXPECT_TRUE(hold(first, text));
    EXPECT_TRUE(hold(second, text));
    EXPECT_FALSE(hold(third, text));
    EXPECT_TRUE(hold(other, text));
  }
  Exchange alone{services};
  EXPECT_TRUE(hold(alone, long_text));
}

TEST(BodyMemory, WhatIsDeclaredAndDoesNotComeIsNotCounted) {
  Services services;
  BodyMemory bodies;
  bodies.limit(4 << 20, 4 << 20, testing::TempDir());
  std::vector<std::unique_ptr<Exchange>> exchanges;
  constexpr std::size_t kSent = 6500;
  for (std::uint64_t i = 1; i <= 10; ++i) {
    auto& exchange = *exchanges.emplace_back(std::make_unique<Exchange>(services));
    auto& whole = exchange.context.keep<WholeBody>(exchange.context, bodies, exchange.peer, 1 << 20, 1 << 20);
    add(exchange, whole, text_of(kSent), 1000);
    EXPECT_EQ(whole.error(), nullptr);
    EXPECT_LE(bodies.memory() + bodies.disk(), i * 16 * kSent);
  }
}

TEST(BodyMemory, AResponseThatWaitsIsTheSameFromMemoryAndFromDisk) {
  Services services;
  for (const auto memory : {0u, 1'000'000u}) {
    BodyMemory bodies;
    bodies.limit(memory, 1'000'000, testing::TempDir());
    Exchange exchange{services};
    Request request{.method = "GET", .target = "/", .headers = Headers{exchange.arena}, .peer = exchange.peer};
    const auto text = text_of(100'000);
    Result<Body> held;
    const auto work = [&]() -> Task<> {
      held = co_await hold_unread(exchange.context, bodies, request, Buffer::own(text));
    };
    Scope scope;
    exchange.loop.spawn(scope, work());
    exchange.loop.run();
    ASSERT_TRUE(held);
    if (memory > 0) {
      EXPECT_EQ(whole_text(*held), text);
      EXPECT_EQ(bodies.memory(), text.size());
      continue;
    }
    const auto& file = std::get<File>(*held);
    std::string read(file.length, ' ');
    ASSERT_TRUE(read_at(file.descriptor, read.data(), read.size(), file.offset));
    EXPECT_EQ(read, text);
    EXPECT_EQ(bodies.disk(), text.size());
  }
}

TEST(BodyMemory, AFolderThatCannotBeWrittenIsARefusalThatSaysSo) {
  Services services;
  BodyMemory bodies;
  bodies.limit(0, 1 << 20, "/nowhere");
  Exchange exchange{services};
  WholeBody whole{exchange.context, bodies, exchange.peer, 1 << 20, std::nullopt};
  add(exchange, whole, text_of(10'000), 10'000);
  ASSERT_NE(whole.error(), nullptr);
  EXPECT_TRUE(whole.error()->more_->cause.contains("/nowhere")) << whole.error()->more_->cause;
}

TEST(BodyMemory, SmallBodiesAreNotCounted) {
  Services services;
  BodyMemory bodies;
  bodies.limit(0, 0, "/nowhere");
  Exchange exchange{services};
  for (const auto size : {0u, 1u, 4096u}) {
    WholeBody whole{exchange.context, bodies, exchange.peer, 1 << 20, size};
    add(exchange, whole, text_of(size), 1000);
    EXPECT_EQ(whole.error(), nullptr);
    EXPECT_EQ(whole.text().size(), size);
  }
}

}  // namespace
}  // namespace plimsoll
