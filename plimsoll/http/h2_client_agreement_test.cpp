// H2ClientSession beside nghttp2: each as the client of a server of the other, with random requests and answers, cut
// anywhere.

#include "plimsoll/http/h2_client.hpp"

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace plimsoll::http {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

std::mt19937 chance() {
  const auto* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::atoi(given)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", seed);
  return std::mt19937{seed};
}

/// What is asked and what is answered, made up beforehand.
struct Plan {
  std::string method, path, content;
  Fields fields;
  std::string status, answer;
  Fields answer_fields, trailers;
  bool interim = false;
};

/// A server made of nghttp2: it answers each request by its plan, which the path names.
class Judge {
 public:
  struct Seen {
    Fields fields;
    std::string content;
    bool ended = false, answered = false;
    std::size_t at = 0;  ///< bytes of the answer that were given
    const Plan* plan = nullptr;
  };
  std::map<std::int32_t, Seen> seen;
  std::string why;
  std::uint32_t resets = 0;

  Judge(const std::deque<Plan>& plans, std::uint32_t window, std::uint32_t streams) : plans_(plans) {
    nghttp2_session_callbacks* c = nullptr;
    nghttp2_session_callbacks_new(&c);
    nghttp2_session_callbacks_set_on_header_callback(
        c, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
              const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* u) {
          of(u).seen[frame->hd.stream_id].fields.emplace_back(text(name, name_size), text(value, value_size));
          return 0;
        });
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(
        c, [](nghttp2_session*, const nghttp2_frame*, int code, void* u) {
          of(u).why = nghttp2_strerror(code);
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, [](nghttp2_session* s, const nghttp2_frame* f, void* u) {
      if (f->hd.type == NGHTTP2_RST_STREAM) ++of(u).resets;
      if (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA) return 0;
      if (!(f->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
      auto& one = of(u).seen[f->hd.stream_id];
      one.ended = true;
      of(u).answer(s, f->hd.stream_id, one);
      return 0;
    });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        c, [](nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size, void* u) {
          of(u).seen[id].content += text(data, size);
          return 0;
        });
    nghttp2_session_server_new(&session_, c, this);
    nghttp2_session_callbacks_del(c);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
                                               {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams}};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  }
  ~Judge() { nghttp2_session_del(session_); }
  Judge(const Judge&) = delete;

  bool receive(std::string_view bytes) {
    const auto read =
        nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    if (read < 0) why = nghttp2_strerror(static_cast<int>(read));
    return why.empty();
  }
  void gather(std::string& out) {
    const std::uint8_t* data = nullptr;
    for (;;) {
      const auto size = nghttp2_session_mem_send(session_, &data);
      if (size <= 0) return;
      out += text(data, static_cast<std::size_t>(size));
    }
  }

 private:
  static Judge& of(void* user) { return *static_cast<Judge*>(user); }
  static std::string text(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
  }
  static nghttp2_nv pair(const std::string& name, const std::string& value) {
    return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
            reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
            NGHTTP2_NV_FLAG_NONE};
  }
  void answer(nghttp2_session* session, std::int32_t id, Seen& one) {
    for (const auto& [name, value] : one.fields)
      if (name == ":path") one.plan = &plans_[static_cast<std::size_t>(std::atoi(value.c_str() + 1))];
    const auto& plan = *one.plan;
    static const std::string kStatus = ":status", kEarly = "103", kLink = "link", kTo = "</x>";
    if (plan.interim) {
      const nghttp2_nv early[] = {pair(kStatus, kEarly), pair(kLink, kTo)};
      nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, id, nullptr, early, 2, nullptr);
    }
    std::vector<nghttp2_nv> head{pair(kStatus, plan.status)};
    for (const auto& [name, value] : plan.answer_fields) head.push_back(pair(name, value));
    nghttp2_data_provider provider{
        .source = {.ptr = &one},
        .read_callback = [](nghttp2_session* s, std::int32_t stream, std::uint8_t* to, std::size_t room,
                            std::uint32_t* flags, nghttp2_data_source* source, void*) -> ssize_t {
          auto& from = *static_cast<Seen*>(source->ptr);
          const auto& whole = from.plan->answer;
          const auto size = std::min(room, whole.size() - from.at);
          std::memcpy(to, whole.data() + from.at, size);
          from.at += size;
          if (from.at < whole.size()) return static_cast<ssize_t>(size);
          *flags |= NGHTTP2_DATA_FLAG_EOF;
          if (from.plan->trailers.empty()) return static_cast<ssize_t>(size);
          *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
          std::vector<nghttp2_nv> last;
          for (const auto& [name, value] : from.plan->trailers) last.push_back(pair(name, value));
          nghttp2_submit_trailer(s, stream, last.data(), last.size());
          return static_cast<ssize_t>(size);
        }};
    const bool content = !plan.answer.empty() && plan.method != "HEAD";
    nghttp2_submit_response(session, id, head.data(), head.size(), content ? &provider : nullptr);
  }

  const std::deque<Plan>& plans_;
  nghttp2_session* session_ = nullptr;
};

struct Call final : H2Call {
  std::string content;
  Fields fields;
  int status = 0, interim = 0;
  bool ended = false, over = false;
  H2Error why = H2Error::no_error;
  void head(const H2AnswerHead& head) override {
    if (head.status < 200) {
      ++interim;
      return;
    }
    status = head.status;
    for (const auto& field : head.fields) fields.emplace_back(field.name, field.value);
  }
  void body(Bytes piece) override { content += as_text(piece); }
  void body_ended() override { ended = true; }
  void drained() override {}
  void closed(H2Error error) override { over = true, why = error; }
};

TEST(H2ClientAgreement, AServerOfAnotherLibraryUnderstandsWhatIsAskedAndIsUnderstood) {
  auto random = chance();
  const auto below = [&](std::size_t most) { return std::uniform_int_distribution<std::size_t>(0, most)(random); };
  const auto one_of = [&](std::initializer_list<const char*> texts) {
    return std::string(texts.begin()[below(texts.size() - 1)]);
  };
  const auto any_fields = [&] {
    Fields made;
    for (auto count = below(8); count > 0; --count) {
      auto name = one_of({"accept", "user-agent", "x-tenant", "authorization", "cookie", "x-long", "etag", "date"});
      if (below(3) == 0) name += '-' + std::to_string(below(200));
      std::string value(below(below(5) ? 20 : 3000), static_cast<char>('a' + below(25)));
      made.emplace_back(std::move(name), std::move(value));
    }
    return made;
  };
  for (int round = 0; round < 150; ++round) {
    SCOPED_TRACE(round);
    std::deque<Plan> plans;
    const auto count = 1 + below(30);
    for (std::size_t i = 0; i < count; ++i) {
      auto& plan = plans.emplace_back();
      plan.method = one_of({"GET", "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS"});
      plan.path = "/" + std::to_string(i) + (below(1) ? "?q=" + std::string(below(100), 'q') : "");
      plan.fields = any_fields();
      if (plan.method == "POST" || plan.method == "PUT") plan.content.assign(below(below(3) ? 300 : 60'000), 'c');
      plan.status = one_of({"200", "201", "404", "503", "204", "304", "429"});
      plan.answer_fields = any_fields();
      const bool bodiless = plan.status == "204" || plan.status == "304";
      if (!bodiless) plan.answer.assign(below(below(3) ? 300 : 60'000), 'a');
      if (!plan.answer.empty() && plan.method != "HEAD" && below(3) == 0)
        plan.trailers = {{"grpc-status", "0"}, {"x-check", std::to_string(i)}};
      plan.interim = below(4) == 0;
    }
    Judge judge(plans, static_cast<std::uint32_t>(1 + below(70'000)), static_cast<std::uint32_t>(1 + below(40)));
    H2ClientSession session({.streams = static_cast<std::uint32_t>(1 + below(30)),
                             .stream_window = static_cast<std::uint32_t>(1 + below(70'000)),
                             .connection_window = static_cast<std::uint32_t>(65'535 + below(70'000)),
                             .header_list = 64 << 10});
    std::deque<Call> calls;
    std::vector<std::vector<Header>> heads(count);
    std::string to_judge, to_us;
    // Its settings first: what goes before they are known is the other side's to refuse.
    judge.gather(to_us);
    Nanoseconds now = kSecond;
    ASSERT_TRUE(session.receive(plimsoll::as_bytes(to_us), now));
    to_us.clear();
    for (int turn = 0; turn < 200'000; ++turn) {
      while (calls.size() < count && session.has_room() && below(2)) {
        const auto& plan = plans[calls.size()];
        auto& head = heads[calls.size()];
        for (const auto& [name, value] : plan.fields) head.push_back({name, value});
        auto& call = calls.emplace_back();
        session.request(
            call,
            {.method = plan.method, .scheme = "https", .authority = "example.com", .path = plan.path, .fields = head},
            !plan.content.empty());
        if (!plan.content.empty()) session.supply(call, plimsoll::as_bytes(plan.content), true);
      }
      session.gather(to_judge, 1 + below(20'000));
      const auto given = std::min(to_judge.size(), 1 + below(9'000));
      ASSERT_TRUE(judge.receive(std::string_view(to_judge).substr(0, given))) << judge.why;
      to_judge.erase(0, given);
      judge.gather(to_us);
      const auto taken = std::min(to_us.size(), 1 + below(9'000));
      ASSERT_TRUE(session.receive(plimsoll::as_bytes(std::string_view(to_us).substr(0, taken)), now += kMillisecond))
          << session.complaint();
      to_us.erase(0, taken);
      for (auto& call : calls) session.consumed(call, 1 + below(20'000));
      if (calls.size() == count && session.open() == 0 && to_judge.empty() && !session.wants_write()) break;
    }
    ASSERT_EQ(calls.size(), count);
    EXPECT_EQ(judge.resets, 0u);
    ASSERT_EQ(judge.seen.size(), count);
    for (std::size_t i = 0; i < count; ++i) {
      SCOPED_TRACE(i);
      const auto& plan = plans[i];
      const auto& seen = judge.seen[static_cast<std::int32_t>(2 * i + 1)];
      Fields expected{
          {":method", plan.method}, {":scheme", "https"}, {":path", plan.path}, {":authority", "example.com"}};
      expected.insert(expected.end(), plan.fields.begin(), plan.fields.end());
      EXPECT_EQ(seen.fields, expected);
      EXPECT_TRUE(seen.content == plan.content);
      EXPECT_TRUE(seen.ended);
      const auto& call = calls[i];
      EXPECT_TRUE(call.ended && call.over);
      EXPECT_EQ(call.why, H2Error::no_error);
      EXPECT_EQ(std::to_string(call.status), plan.status);
      EXPECT_EQ(call.interim, plan.interim ? 1 : 0);
      EXPECT_EQ(call.fields, plan.answer_fields);
      EXPECT_TRUE(call.content == (plan.method == "HEAD" ? std::string{} : plan.answer));
    }
  }
}

}  // namespace
}  // namespace plimsoll::http
