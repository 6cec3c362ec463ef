// H2Session beside nghttp2, on what a random client sends: what each takes for a request, for content, for the end of
// it, and for an error.

#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/h2_frames.hpp"
#include "plimsoll/http/h2_judge.hpp"
#include "plimsoll/http/target.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <random>

namespace plimsoll::http {
namespace {

using namespace frames;
using namespace std::string_literals;

std::mt19937 chance() {
  const auto* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::atoi(given)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", seed);
  return std::mt19937{seed};
}

/// What became of a connection, in words: so that two of them can be compared, and a difference be read.
using Story = std::map<std::int32_t, std::string>;

struct Server : H2Requests {
  struct Stream : H2Stream {
    std::string head, content;
    std::int32_t number = 0;
    bool ended = false;
    void body(Bytes piece) override { content += as_text(piece); }
    void body_ended() override { ended = true; }
    void drained() override {}
    void closed(H2Error) override {}
  };
  H2Options options;
  std::deque<Stream> streams;
  H2Session session;
  std::set<std::int32_t> reset;
  bool failed = false;

  explicit Server(const H2Options& o) : options(o), session(o, *this) { gather(); }
  H2Stream* request(const H2Head& head) override {
    auto& s = streams.emplace_back();
    if (head.refusal) s.head = "refused: ";
    for (auto part : {head.method, head.protocol, head.scheme, head.authority, head.path})
      s.head.append(part).append(" ");
    for (auto& field : head.fields) s.head.append("|").append(field.name).append("=").append(field.value);
    s.ended = head.ended;
    // It may be over before it can be asked: clients name it in the path.
    if (head.path.size() > 1) s.number = std::atoi(std::string(head.path.substr(1)).c_str());
    return &s;
  }
  void receive(std::string_view bytes) {
    if (failed) return;
    session.receive(plimsoll::as_bytes(bytes), kSecond);
    for (auto& s : streams)
      if (s.id()) s.number = s.id();
    gather();
  }
  void gather() {
    std::string out;
    session.gather(out, 1 << 20);
    std::string_view rest = out;
    for (auto& f : take_frames(rest)) {
      if (f.type == kGoaway && f.code(4)) failed = true;
      if (f.type == kReset) reset.insert(static_cast<std::int32_t>(f.stream));
    }
  }
  Story story() const {
    Story out;
    for (auto& s : streams)
      if (s.number) out[s.number] = s.head + "\n" + s.content + (s.ended ? " and the end" : "");
    for (auto id : reset) out[id] = "reset";
    if (failed) out[0] = "failed";
    return out;
  }
};

/// What of a head nghttp2 leaves to others to look at; empty: malformed.
std::string head_of(const JudgeOfConnections::Fields& fields) {
  std::map<std::string, std::string> pseudo;
  std::vector<std::pair<std::string, std::string>> others;
  std::string host;
  std::size_t hosts = 0, cookie = fields.size();
  for (auto& [name, value] : fields) {
    if (name.starts_with(':')) {
      pseudo[name] = value;
      continue;
    }
    if (name == "host") host = value, ++hosts;
    if (name == "cookie" && cookie < others.size()) {
      auto& all = others[cookie].second;
      all += (all.empty() ? "" : "; ") + value;
      continue;
    }
    if (name == "cookie") cookie = others.size();
    others.emplace_back(name, value);
  }
  const bool connect = pseudo[":method"] == "CONNECT", extended = pseudo.contains(":protocol");
  if (!is_token(pseudo[":method"]) || hosts > 1) return {};
  const bool has_authority = std::ranges::any_of(fields, [](auto& field) { return field.first == ":authority"; });
  const auto authority = has_authority ? pseudo[":authority"] : host;
  const auto same = [](char a, char b) { return lower(a) == lower(b); };
  if (!is_authority(authority) || (hosts && (!is_authority(host) || !std::ranges::equal(host, authority, same))))
    return {};
  if (extended && !is_token(pseudo[":protocol"])) return {};
  if (!connect || extended) {
    if (pseudo[":scheme"] != "http" && pseudo[":scheme"] != "https") return {};
    const auto target = split_target(pseudo[":path"]);
    if (!target || target->form == Target::Form::absolute) return {};
    if (target->form == Target::Form::asterisk && pseudo[":method"] != "OPTIONS") return {};
  }
  std::string out = connect && !same_as_lower(pseudo[":protocol"], "websocket") ? "refused: " : "";
  for (const auto& part : {pseudo[":method"], pseudo[":protocol"], pseudo[":scheme"], authority, pseudo[":path"]})
    out += part + " ";
  for (auto& [name, value] : others) out += "|" + name + "=" + value;
  return out;
}

Story story(const JudgeOfConnections& judge) {
  Story out;
  for (auto& [id, fields] : judge.heads) {
    const auto head = head_of(fields);
    const auto content = judge.contents.find(id);
    out[id] = head.empty() ? "reset"
                           : head + "\n" + (content == judge.contents.end() ? "" : content->second) +
                                 (judge.ended.contains(id) ? " and the end" : "");
  }
  for (auto id : judge.reset) out[id] = "reset";
  if (judge.failed) out[0] = "failed";
  return out;
}

struct Both {
  explicit Both(bool extended_connect = false) : extended(extended_connect) {
    receive(std::string(kH2Preface) + frame(kSettings, 0, 0, "") + frame(kSettings, kAck, 0, ""));
  }
  const bool extended;
  H2Options options{.extended_connect = extended,
                    .allowances = {.resets = {100'000, kSecond},
                                   .settings = {100'000, kSecond},
                                   .pings = {100'000, kSecond},
                                   .window_updates = {100'000, kSecond},
                                   .empty_data = {100'000, kSecond},
                                   .others = {100'000, kSecond}}};
  Server ours{options};
  JudgeOfConnections theirs{options};
  void receive(std::string_view bytes) {
    ours.receive(bytes);
    theirs.receive(bytes);
  }
};

template <class T>
const T& one_of(std::mt19937& random, const std::vector<T>& all) {
  return all[random() % all.size()];
}

/// `extended`: as often as not a CONNECT with a `:protocol`.
std::string random_head(std::mt19937& random, bool extended = false) {
  using Text = std::vector<std::string>;
  static const Text kMethods{"GET", "POST", "OPTIONS", "CONNECT", "G T", "", "get"};
  static const Text kSchemes{"http", "https", "ftp", "", "HTTP"};
  static const Text kPaths{"/", "/a?b=c", "*", "", "a", "/a b", "/#x", "/%zz", "http://a/"};
  static const Text kAuthorities{"a", "a:80", "[::1]:8", "u@a", "", "a b", "a:99999"};
  static const Text kNames{
      "x-a",     "cookie",    "host",    "te",         "content-length",   "connection",        "X-A", "",        "a b",
      ":status", ":protocol", "upgrade", "keep-alive", "proxy-connection", "transfer-encoding", "a:b", "priority"};
  static const Text kValues{"a",
                            "b",
                            "",
                            "trailers",
                            "gzip",
                            "0",
                            "5",
                            "+1",
                            "007",
                            " a",
                            "a\t",
                            "a\nb",
                            std::string("a\0b", 3),
                            "\x80\xff",
                            "a\x7f",
                            "99999999999999999999"};
  const bool wild = random() % 3 == 0;
  const auto pick = [&](const Text& all) { return wild || random() % 12 == 0 ? one_of(random, all) : all[0]; };
  static const Text kProtocols{"websocket", "WebSocket", "connect-udp", "", "a b"};
  const bool connects = extended && random() % 2;
  std::vector<std::string> fields{literal(":method", connects ? "CONNECT" : pick(kMethods)),
                                  literal(":scheme", pick(kSchemes)), literal(":path", pick(kPaths)),
                                  literal(":authority", pick(kAuthorities))};
  if (connects) fields.push_back(literal(":protocol", pick(kProtocols)));
  for (auto count = random() % 4; count > 0; --count)
    fields.push_back(literal(one_of(random, kNames), one_of(random, kValues)));
  if (random() % 6 == 0) fields.erase(fields.begin() + static_cast<long>(random() % fields.size()));
  if (random() % 10 == 0) fields.push_back(one_of(random, fields));
  if (random() % 6 == 0) std::swap(fields[random() % fields.size()], fields[random() % fields.size()]);
  std::string out;
  for (auto& field : fields) out += field;
  return out;
}

void heads_agree(bool extended) {
  auto random = chance();
  int served = 0, refused = 0;
  for (int i = 0; i < 60'000; ++i) {
    Both both{extended};
    const auto block = random_head(random, extended);
    both.receive(frame(kHeaders, kEndHeaders | (random() % 3 ? kEndStream : 0), 1, block));
    ASSERT_EQ(both.ours.story(), story(both.theirs)) << i << ": " << testing::PrintToString(block);
    ++(both.ours.streams.empty() ? refused : served);
  }
  EXPECT_GT(served, 1000);
  EXPECT_GT(refused, 1000);
}

TEST(H2Agreement, OnHeads) { heads_agree(false); }
TEST(H2Agreement, OnHeadsWhereExtendedConnectIsOffered) { heads_agree(true); }

/// What a client may think up, on streams that it may think open.
class Client {
 public:
  explicit Client(std::mt19937& random) : random_(random) {}
  std::string next() {
    const auto old = any_open();
    switch (random_() % 16) {
      case 0:
      case 1:
      case 2: return open();
      case 3:
      case 4:
      case 5: return old ? data(old) : open();
      case 6: return old ? trailers(old) : open();
      case 7: return old ? forget(old), frame(kReset, 0, old, number(random_() % 3 ? 8 : 0)) : open();
      case 8: return frame(kPing, random_() % 2 ? kAck : 0, 0, std::string(chosen(20) ? 7 : 8, 'p'));
      case 9: return settings();
      case 10:  // of 0 on a stream is an error of the stream for us, and one of the connection for nghttp2
        if (old && chosen(3)) return frame(kWindow, 0, old, number(1 + random_() % 99));
        return frame(kWindow, 0, 0, number(chosen(30) ? 0 : chosen(30) ? 0x7fffffff : 1 + random_() % 99));
      case 11: return old ? frame(kPriority, 0, old, number(0) + "\x10") : open();
      case 12:
        return frame(0x20 + static_cast<int>(random_() % 99), static_cast<int>(random_() % 256), old,
                     std::string(random_() % 50, 'u'));
      case 13: return in_pieces();
      case 14: return chosen(20) ? damaged() : open();
      default: return chosen(30) ? wrong(old) : open();
    }
  }

 private:
  bool chosen(unsigned one_in) { return random_() % one_in == 0; }
  std::uint32_t any_open() { return open_.empty() ? 0 : open_[random_() % open_.size()]; }
  void forget(std::uint32_t id) { std::erase(open_, id); }
  std::string head() {
    std::string more;
    if (chosen(3)) more = literal("content-length", std::to_string(random_() % 6));
    if (chosen(9)) more += literal("Bad", "x");
    return frames::head("POST", "/" + std::to_string(last_), more);
  }
  std::string open() {
    last_ += 2;
    const bool ends = chosen(3);
    if (!ends) open_.push_back(last_);
    auto flags = kEndHeaders | (ends ? kEndStream : 0);
    auto block = head();
    if (chosen(8)) flags |= 0x20, block = number(0) + "\x01" + block;
    if (chosen(8)) flags |= 0x8, block = std::string(1, '\x03') + block + "\0\0\0"s;
    return frame(kHeaders, flags, last_, block);
  }
  std::string in_pieces() {
    last_ += 2;
    open_.push_back(last_);
    const auto block = head();
    const auto cut = random_() % block.size();
    auto out = frame(kHeaders, 0, last_, block.substr(0, cut));
    if (chosen(30)) out += frame(kPing, 0, 0, "12345678");  // must not stand here
    return out + frame(kContinuation, kEndHeaders, last_, block.substr(cut));
  }
  std::string data(std::uint32_t id) {
    const bool ends = chosen(3);
    if (ends) forget(id);
    auto content = std::string(random_() % 4, 'd');
    int flags = ends ? kEndStream : 0;
    if (chosen(4)) {
      const auto padding = random_() % 5;
      flags |= 0x8;
      content = std::string(1, static_cast<char>(chosen(20) ? content.size() + 1 + padding : padding)) + content +
                std::string(padding, '\0');
    }
    return frame(kData, flags, id, content);
  }
  std::string trailers(std::uint32_t id) {
    forget(id);
    return frame(kHeaders, kEndHeaders | (chosen(6) ? 0 : kEndStream), id,
                 literal(chosen(6)   ? ":path"
                         : chosen(6) ? "Bad"
                                     : "x-t",
                         "v"));
  }
  std::string settings() {
    std::string out;
    if (chosen(2)) {  // one: of two of a kind, nghttp2 looks at the last
      const std::pair<int, std::uint32_t> all[] = {{1, random_() % 5000},
                                                   {2, chosen(20) ? 2 : 0},
                                                   {3, 1},
                                                   {4, chosen(20) ? 0x80000000 : random_() % 70000},
                                                   {5, chosen(20) ? 16383 : 16384},
                                                   {6, 1000},
                                                   {77, 5}};
      const auto& [id, value] = all[random_() % std::size(all)];
      out += {'\0', static_cast<char>(id)};
      out += number(value);
    }
    if (chosen(40)) out += 'x';
    return frame(kSettings, chosen(20) ? kAck : 0, 0, out);
  }
  std::string damaged() {
    auto out = open();
    if (!(out[4] & 0x28)) out[9 + random_() % 14] = static_cast<char>(random_());  // in the first field of its block
    return out;
  }
  std::string wrong(std::uint32_t old) {
    const std::uint32_t idle = last_ + 2 + 2 * (random_() % 3);
    const std::string all[] = {frame(kData, 0, 0, "x"),
                               frame(kData, 0, idle, "x"),
                               frame(kHeaders, kEndHeaders, 0, "x"),
                               frame(kHeaders, kEndHeaders, last_ + 1, frames::head("GET", "/")),
                               frame(kReset, 0, idle, number(8)),
                               frame(kReset, 0, 0, number(8)),
                               frame(kReset, 0, old ? old : idle, "123"),
                               frame(kSettings, 0, 1, ""),
                               frame(5, kEndHeaders, old ? old : 1, number(2)),
                               frame(kPing, 0, 1, "12345678"),
                               frame(kGoaway, 0, 1, number(0) + number(0)),
                               frame(kWindow, 0, idle, number(1)),
                               frame(kWindow, 0, 0, "123"),
                               frame(kContinuation, kEndHeaders, old ? old : 1, ""),
                               frame(kData, 0, old ? old : idle, std::string(16385, 'x'))};
    return all[random_() % std::size(all)];
  }

  std::mt19937& random_;
  std::uint32_t last_ = static_cast<std::uint32_t>(-1);
  std::vector<std::uint32_t> open_;
};

TEST(H2Agreement, OnConnections) {
  auto random = chance();
  int failed = 0, whole = 0;
  for (int i = 0; i < 10'000; ++i) {
    Both both;
    Client client{random};
    std::string all;
    for (auto frames = 1 + random() % 30; frames > 0; --frames) all += client.next();
    const auto cut = 1 + random() % (random() % 2 ? 20 : 5000);
    for (std::string_view rest = all; !rest.empty(); rest.remove_prefix(std::min(cut, rest.size())))
      both.ours.receive(rest.substr(0, cut));
    both.theirs.receive(all);  // in pieces, Debian's nghttp2 counts CONTINUATION frames that are none
    auto ours = both.ours.story(), theirs = story(both.theirs);
    if (both.ours.failed && both.theirs.failed) {  // whether streams are still reset when all is over, is of no matter
      for (auto* resets : {&both.ours.reset, &both.theirs.reset})
        for (auto id : *resets) ours.erase(id), theirs.erase(id);
    }
    // What nghttp2 does not look at any more: padding on streams that are over, and that those are opened again.
    const auto complaint = both.ours.session.complaint();
    const bool stricter = complaint == "DATA: padding longer than the frame" || complaint == "HEADERS: stream closed";
    if (stricter) continue;
    ASSERT_EQ(ours, theirs) << i << ": " << both.ours.session.complaint() << " / " << both.theirs.why << ": "
                            << testing::PrintToString(all);
    ++(both.ours.failed ? failed : whole);
  }
  EXPECT_GT(failed, 500);
  EXPECT_GT(whole, 500);
}

}  // namespace
}  // namespace plimsoll::http
