#pragma once

// For tests and fuzzing: what must hold for any bytes that a server sends.

#include "plimsoll/database/postgres_protocol.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::database {

/// Bytes as a server sends them.
struct ServerBytes {
  std::string all;

  static std::string number(std::uint32_t value, int bytes) {
    std::string made;
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) made += static_cast<char>(value >> shift);
    return made;
  }
  static std::string text(std::string_view value) { return std::string(value) + '\0'; }
  ServerBytes& message(char type, std::string_view body = {}) {
    all += type;
    all += number(static_cast<std::uint32_t>(body.size() + 4), 4);
    all += body;
    return *this;
  }
  ServerBytes& authentication(std::uint32_t code, std::string_view more = {}) {
    return message('R', number(code, 4) + std::string(more));
  }
  ServerBytes& parameter(std::string_view name, std::string_view value) {
    return message('S', text(name) + text(value));
  }
  ServerBytes& key(std::uint32_t process, std::uint32_t secret) {
    return message('K', number(process, 4) + number(secret, 4));
  }
  ServerBytes& ready(char state = 'I') { return message('Z', std::string(1, state)); }
  ServerBytes& greeting() { return authentication(0).parameter("server_version", "15.1").key(42, 99).ready(); }
  struct Column {
    std::string name;
    std::uint32_t type = 25;
  };
  ServerBytes& columns(const std::vector<Column>& columns) {
    auto body = number(static_cast<std::uint32_t>(columns.size()), 2);
    for (const auto& column : columns)
      body += text(column.name) + number(7, 4) + number(1, 2) + number(column.type, 4) + number(0xffff, 2) +
              number(0xffffffff, 4) + number(0, 2);
    return message('T', body);
  }
  ServerBytes& types(const std::vector<std::uint32_t>& types) {
    auto body = number(static_cast<std::uint32_t>(types.size()), 2);
    for (const auto type : types) body += number(type, 4);
    return message('t', body);
  }
  /// Null where a pointer is null.
  ServerBytes& row(const std::vector<const char*>& values) {
    auto body = number(static_cast<std::uint32_t>(values.size()), 2);
    for (const auto* value : values) {
      if (!value) {
        body += number(0xffffffff, 4);
        continue;
      }
      body += number(static_cast<std::uint32_t>(std::string_view(value).size()), 4) + value;
    }
    return message('D', body);
  }
  ServerBytes& complete(std::string_view tag) { return message('C', text(tag)); }
  ServerBytes& error(std::string_view severity, std::string_view sqlstate, std::string_view says) {
    return message('E', 'S' + text(severity) + 'V' + text(severity) + 'C' + text(sqlstate) + 'M' + text(says) + '\0');
  }
};

/// All that a server's bytes lead to: each event in words, what is answered, and how it ended.
struct ProtocolTrace {
  std::vector<std::string> events;
  std::string output;
  std::size_t held = 0;  ///< the most
  PostgresProtocol::Fault fault{};
  std::size_t pending = 0;

  bool operator==(const ProtocolTrace& other) const {
    return events == other.events && output == other.output && fault == other.fault && pending == other.pending;
  }
};

inline std::string in_words(const PostgresProtocol::Event& event) {
  auto made = std::to_string(static_cast<int>(event.kind)) + ":" + std::string(event.name) + ":" +
              std::string(event.text) + ":" + std::to_string(event.process) + ":" + std::to_string(event.secret);
  for (const char letter : {'C', 'M', 'V', 'D', 'n'}) made.append(":").append(event.said[letter]);
  for (const auto type : event.types) made += ":" + std::to_string(static_cast<std::uint32_t>(type));
  for (const auto& column : event.columns)
    made += ":" + std::string(column.name) + "=" + std::to_string(static_cast<std::uint32_t>(column.type));
  for (const auto& cell : event.cells) made += cell.is_null() ? ":null" : ":'" + std::string(cell.text()) + "'";
  return made;
}

/// Says what each byte of `said` stands for.
inline void say(PostgresProtocol& protocol, std::string_view said) {
  for (const char each : said) {
    switch (static_cast<unsigned char>(each) % 10) {
      case 0: protocol.parse("p1", "SELECT 1"); break;
      case 1: protocol.describe("p1"); break;
      case 2: protocol.bind("p1", {}); break;
      case 3: protocol.describe_portal(); break;
      case 4: protocol.execute(static_cast<unsigned char>(each) / 10 % 4); break;
      case 5: protocol.execute(); break;
      case 6: protocol.close("p1"); break;
      case 7: protocol.sync(); break;
      case 8: protocol.copy("COPY a FROM STDIN"); break;
      default: protocol.query("SELECT 1; SELECT 2"); break;
    }
  }
}

inline constexpr PostgresProtocol::Limits kSmallLimits{.row = 256, .message = 512, .greeting = 512, .columns = 8};

/// Where a connection is when the server's bytes come: at its beginning, or behind a greeting, with things said.
struct ProtocolScene {
  bool tls = false, secure = false, greeted = true;
  PostgresProtocol::ChannelBinding binding = PostgresProtocol::ChannelBinding::preferred;
  std::string said{};
};

/// `piece(n)`: how many of the n bytes that are left arrive next.
template <class Piece>
ProtocolTrace trace_of(const ProtocolScene& scene, std::string_view bytes, Piece piece) {
  using Kind = PostgresProtocol::Kind;
  PostgresProtocol protocol{kSmallLimits};
  ProtocolTrace trace;
  const auto start = [&] {
    protocol.start({.parameters = {{"user", "shop"}},
                    .password = "s3cret",
                    .cleartext = scene.secure,
                    .nonce = "fyko+d2lbbFgONRv9qkxdawL",
                    .end_point = scene.secure ? "end point" : "",
                    .secure = scene.secure,
                    .binding = scene.binding});
  };
  std::string greeting;
  if (scene.greeted) greeting = ServerBytes{}.greeting().all;
  if (scene.tls)
    protocol.ask_for_tls();
  else
    start();
  const auto feed = [&](std::string_view part) {
    while (!part.empty()) {
      const auto room = protocol.room();
      const auto size = std::min(part.size(), room.size());
      std::copy_n(part.data(), size, room.data());
      protocol.received(size);
      part.remove_prefix(size);
      for (;;) {
        const auto event = protocol.next();
        trace.held = std::max(trace.held, protocol.held());
        if (event.kind == Kind::none) break;
        trace.events.push_back(in_words(event));
        if (event.kind == Kind::secured || event.kind == Kind::unsecured) start();
        if (event.kind == Kind::copy_in) {
          protocol.copy_data("1\t\\N\n");
          trace.events.size() % 2 ? protocol.copy_done() : protocol.copy_fail("enough");
        }
        if (protocol.takes_data()) trace.events.push_back("a COPY that has ended takes data");
        if (event.kind == Kind::failed) return false;
      }
    }
    return true;
  };
  bool goes_on = feed(greeting);
  if (scene.greeted) say(protocol, scene.said);
  trace.events.clear();
  while (goes_on && !bytes.empty()) {
    const auto size = std::clamp<std::size_t>(piece(bytes.size()), 1, bytes.size());
    goes_on = feed(bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  trace.output = protocol.output();
  trace.fault = protocol.fault();
  trace.pending = protocol.pending();
  if (protocol.failed() && (protocol.next().kind != Kind::failed || !protocol.output().empty()))
    trace.events.push_back("a fault is forgotten");
  return trace;
}

/// A plain reading that shares no code with the machine: each whole message up to the fault, as the kind that it has
/// to be. What does not hold; empty: all holds.
inline std::string plain_fault(const ProtocolScene& scene, std::string_view bytes, const ProtocolTrace& trace) {
  using Kind = PostgresProtocol::Kind;
  if (scene.tls || !scene.greeted) return {};
  std::size_t at = 0, seen = 0;
  for (; seen < trace.events.size(); ++seen) {
    const auto kind = static_cast<Kind>(std::stoi(trace.events[seen]));
    if (kind == Kind::failed) return seen + 1 == trace.events.size() ? "" : "something follows a fault";
    char type = 0;
    std::string_view body;
    std::size_t size = 0;
    // Data of a COPY and its end are dropped.
    do {
      if (bytes.size() < at + 5) return "an event without a message";
      type = bytes[at];
      size = 0;
      for (std::size_t i = 1; i <= 4; ++i) size = size << 8 | static_cast<unsigned char>(bytes[at + i]);
      if (size < 4) return "a message shorter than its head";
      body = bytes.substr(at + 5).substr(0, size - 4);
      at = std::min(bytes.size(), at + 1 + size);
    } while (type == 'd' || type == 'c');
    if (kind == Kind::too_large) {
      if (type != 'D' || size - 4 <= kSmallLimits.row) return "a row that is not too large is";
      continue;
    }
    if (body.size() != size - 4) return "an event before its message is there";
    static constexpr std::pair<char, Kind> kKinds[] = {
        {'1', Kind::parsed},    {'2', Kind::bound},        {'3', Kind::closed},       {'t', Kind::parameter_types},
        {'T', Kind::columns},   {'n', Kind::columns},      {'D', Kind::row},          {'C', Kind::complete},
        {'I', Kind::complete},  {'s', Kind::suspended},    {'E', Kind::error},        {'N', Kind::notice},
        {'S', Kind::parameter}, {'A', Kind::notification}, {'G', Kind::copy_refused}, {'H', Kind::copy_refused},
        {'Z', Kind::ready},
    };
    if (kind == Kind::copy_in) {
      if (type != 'G') return "a COPY begins without its message";
      continue;
    }
    const auto found = std::ranges::find(kKinds, type, &std::pair<char, Kind>::first);
    if (found == std::end(kKinds) || found->second != kind) return "a message is taken for another one";
    if (kind == Kind::row) {
      std::string cells = "";
      auto rest = body.substr(2);
      while (rest.size() >= 4) {
        std::size_t length = 0;
        for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(rest[i]);
        rest.remove_prefix(4);
        if (length == 0xffffffff) {
          cells += ":null";
          continue;
        }
        if (length > rest.size()) return "a row is given that cannot be read";
        cells += ":'" + std::string(rest.substr(0, length)) + "'";
        rest.remove_prefix(length);
      }
      if (!rest.empty() || !trace.events[seen].ends_with(cells)) return "a row has other values";
    }
  }
  return {};
}

/// What does not hold for these bytes; empty: all holds. The first byte says how the connection begins, up to eight
/// behind it what was said before, the rest comes from the server.
inline std::string protocol_fault(std::string_view input) {
  if (input.size() < 2) return {};
  const auto first = static_cast<unsigned char>(input[0]);
  ProtocolScene scene{.tls = (first & 3) == 1, .secure = (first & 4) != 0, .greeted = (first & 3) >= 2};
  scene.binding = static_cast<PostgresProtocol::ChannelBinding>((first >> 3) % 3);
  const auto count = std::min<std::size_t>(static_cast<unsigned char>(input[1]) % 9, input.size() - 2);
  scene.said = input.substr(2, count);
  const auto bytes = input.substr(2 + count);
  const auto whole = trace_of(scene, bytes, [](std::size_t left) { return left; });
  if (whole.held > (96u << 10) + 4 * bytes.size()) return "more is held than has arrived";
  if (whole.events.size() > bytes.size()) return "more events than bytes";
  if (auto fault = plain_fault(scene, bytes, whole); !fault.empty()) return fault;
  // Whether more has come behind the answer is for the machine to see only where it has come with it.
  if (scene.tls && bytes.size() > 1) return whole.fault == PostgresProtocol::Fault::none ? "clear text behind TLS" : "";
  if (whole != trace_of(scene, bytes, [](std::size_t) { return std::size_t{1}; }))
    return "byte by byte it is another one";
  std::uint32_t state = first + 1;
  const auto pieces = [&](std::size_t) { return (state = state * 1103515245 + 12345) >> 16 & 31; };
  if (whole != trace_of(scene, bytes, pieces)) return "in pieces it is another one";
  return {};
}

}  // namespace plimsoll::database
