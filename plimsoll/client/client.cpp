#include "plimsoll/client/client.hpp"

#include "plimsoll/async/asio.hpp"
#include "plimsoll/async/loop.hpp"
#include "plimsoll/http/characters.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>

#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <map>

namespace plimsoll::client {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

/// The addresses of `localhost` and of names below it, which are this machine's whatever a resolver would say (RFC
/// 6761, section 6.3). Empty: another name.
tcp::resolver::results_type loopback(const Url& url) {
  std::uint16_t port = 0;
  std::from_chars(url.port.data(), url.port.data() + url.port.size(), port);
  constexpr std::string_view kName = "localhost";
  std::string name = url.host;
  std::ranges::transform(name, name.begin(), lower);
  if (name != kName && !name.ends_with("." + std::string(kName))) return {};
  const tcp::endpoint both[] = {{asio::ip::address_v6::loopback(), port}, {asio::ip::address_v4::loopback(), port}};
  return tcp::resolver::results_type::create(std::begin(both), std::end(both), url.host, url.port);
}

/// A connection in clear or in TLS; which of the two, only the first lines know.
class Connection {
 public:
  Connection(asio::io_context& context, asio::ssl::context* tls) : socket_(context) {
    if (tls) stream_.emplace(socket_, *tls);
  }
  tcp::socket& socket() { return socket_; }
  Task<Result<>> handshake(const std::string& host) {
    if (!stream_) co_return Result<>{};
    // A literal address is no server name (RFC 6066, section 3).
    boost::system::error_code no_address;
    asio::ip::make_address(host, no_address);
    if (no_address && !SSL_set_tlsext_host_name(stream_->native_handle(), host.c_str()))
      co_return fail(kUnreachable, "the server name cannot be used");
    stream_->set_verify_mode(asio::ssl::verify_peer);
    stream_->set_verify_callback(asio::ssl::host_name_verification(host));
    Result<> shaken = co_await stream_->async_handshake(asio::ssl::stream_base::client, use_task);
    co_return shaken;
  }
  Task<Result<>> write(std::string_view bytes) {
    Result<std::size_t> written{0};
    if (stream_)
      written = co_await asio::async_write(*stream_, asio::buffer(bytes.data(), bytes.size()), use_task);
    else
      written = co_await asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()), use_task);
    if (!written) co_return std::unexpected(std::move(written).error());
    co_return Result<>{};
  }
  Task<Result<std::size_t>> read(char* into, std::size_t size) {
    Result<std::size_t> got{0};
    if (stream_)
      got = co_await stream_->async_read_some(asio::buffer(into, size), use_task);
    else
      got = co_await socket_.async_read_some(asio::buffer(into, size), use_task);
    co_return got;
  }
  /// Whether an idle connection can still be used, as far as can be known here: the other side has neither closed it
  /// nor said something nobody asked for. In TLS something may stand there that is no answer (a ticket for resumption).
  bool open() {
    char byte = 0;
    const auto got = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 ? errno == EAGAIN || errno == EWOULDBLOCK : got > 0 && stream_.has_value();
  }
  Nanoseconds idle_since = 0;

 private:
  tcp::socket socket_;
  std::optional<asio::ssl::stream<tcp::socket&>> stream_;
};

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; });
}

Result<std::string> request_text(const Call& call, const Url& url) {
  if (call.method.empty() || has_control(call.method) || call.method.find(' ') != call.method.npos)
    return fail(kInternal, "no method: " + call.method);
  std::string text = call.method + ' ' + url.target + " HTTP/1.1\r\nhost: " + url.authority + "\r\n";
  for (auto& [name, value] : call.headers) {
    if (name.empty() || has_control(name) || has_control(value) || name.find_first_of(" :") != name.npos)
      return fail(kInternal, "a header that cannot be sent: " + name);
    text += name + ": " + value + "\r\n";
  }
  if (!call.body.empty() || call.method == "POST" || call.method == "PUT" || call.method == "PATCH")
    text += "content-length: " + std::to_string(call.body.size()) + "\r\n";
  return text + "\r\n" + call.body;
}

Error unreachable(const Url& url, Error error) {
  if (error.problem != &kNetwork && error.problem != &kEndOfStream) return error;
  return Error{&kUnreachable, url.authority + ": " + error.detail};
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  Url url;
  auto rest = text;
  if (rest.starts_with("http://"))
    rest.remove_prefix(7);
  else if (rest.starts_with("https://"))
    rest.remove_prefix(8), url.tls = true;
  else
    return fail(kBadUrl, "`" + std::string(text) + "` begins with neither http:// nor https://");
  if (has_control(text) || text.find(' ') != text.npos || text.find('#') != text.npos)
    return fail(kBadUrl, "`" + std::string(text) + "` holds a blank, a control or a fragment");
  const auto slash = std::min(rest.find('/'), rest.find('?'));
  url.authority = rest.substr(0, slash);
  url.target = slash == rest.npos ? "/" : std::string(rest.substr(slash));
  if (url.target.starts_with('?')) url.target.insert(0, "/");
  std::string_view authority = url.authority;
  if (authority.find('@') != authority.npos) return fail(kBadUrl, "credentials in a URL are not sent");
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto close = authority.find(']');
    if (close == authority.npos) return fail(kBadUrl, "no ] in `" + std::string(text) + "`");
    url.host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
  } else {
    const auto colon = authority.find(':');
    url.host = authority.substr(0, colon);
    port = colon == authority.npos ? std::string_view{} : authority.substr(colon);
  }
  url.port = url.tls ? "443" : "80";
  if (!port.empty()) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), number);
    if (port[0] != ':' || port.size() < 2 || error != std::errc{} || end != port.data() + port.size() || number == 0 ||
        number > 65535)
      return fail(kBadUrl, "no port in `" + std::string(text) + "`");
    url.port = std::to_string(number);
  }
  if (url.host.empty()) return fail(kBadUrl, "no host in `" + std::string(text) + "`");
  return url;
}

struct Client::State {
  State(Loop& on, ClientOptions how) : loop(on), options(std::move(how)) {}

  Loop& loop;
  const ClientOptions options;
  std::unique_ptr<asio::ssl::context> tls;
  std::map<std::string, std::vector<std::unique_ptr<Connection>>> idle;

  Result<asio::ssl::context*> tls_context() {
    if (tls) return tls.get();
    auto made = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_client);
    boost::system::error_code error;
    made->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                          asio::ssl::context::no_tlsv1_1 | asio::ssl::context::no_sslv2 | asio::ssl::context::no_sslv3,
                      error);
    if (options.authorities.empty())
      made->set_default_verify_paths(error);
    else
      made->load_verify_file(options.authorities, error);
    if (error) return fail(kInternal, "the certificates of authorities cannot be read: " + error.message());
    tls = std::move(made);
    return tls.get();
  }

  static std::string origin(const Url& url) { return (url.tls ? "https " : "http ") + url.host + ' ' + url.port; }

  std::unique_ptr<Connection> kept(const Url& url) {
    auto found = idle.find(origin(url));
    if (found == idle.end()) return nullptr;
    const auto now = system_clock().steady();
    while (!found->second.empty()) {
      auto last = std::move(found->second.back());
      found->second.pop_back();
      if (now - last->idle_since < options.idle_for && last->open()) return last;
    }
    return nullptr;
  }
  void keep(const Url& url, std::unique_ptr<Connection> connection) {
    auto& of_origin = idle[origin(url)];
    if (of_origin.size() >= options.idle) return;
    connection->idle_since = system_clock().steady();
    of_origin.push_back(std::move(connection));
  }

  Task<Result<std::unique_ptr<Connection>>> dial(const Url& url) {
    asio::ssl::context* secured = nullptr;
    if (url.tls) {
      auto context = tls_context();
      if (!context) co_return std::unexpected(std::move(context).error());
      secured = *context;
    }
    Result<tcp::resolver::results_type> found = loopback(url);
    if (found->empty()) {
      tcp::resolver resolver{loop.context()};
      found = co_await resolver.async_resolve(url.host, url.port, use_task);
    }
    if (!found) co_return std::unexpected(std::move(found).error());
    auto made = std::make_unique<Connection>(loop.context(), secured);
    Result<tcp::endpoint> connected = co_await asio::async_connect(made->socket(), *found, use_task);
    if (!connected) co_return std::unexpected(std::move(connected).error());
    boost::system::error_code ignored;
    made->socket().set_option(tcp::no_delay(true), ignored);
    auto shaken = co_await made->handshake(url.host);
    if (!shaken) co_return std::unexpected(std::move(shaken).error());
    co_return made;
  }

  Task<Result<>> first_bytes(Connection& connection, std::string_view request, ResponseReader& reader,
                             std::span<char> buffer) {
    auto written = co_await connection.write(request);
    if (!written) co_return written;
    auto more = co_await more_bytes(connection, reader, buffer);
    co_return more;
  }
  Task<Result<>> more_bytes(Connection& connection, ResponseReader& reader, std::span<char> buffer) {
    auto got = co_await connection.read(buffer.data(), buffer.size());
    if (!got) {
      // Within TLS an end without its closing alert is no end: somebody may have cut the answer short.
      if (got.error().problem != &kEndOfStream || !reader.begun()) co_return std::unexpected(std::move(got).error());
      co_return reader.end();
    }
    auto taken = reader.feed({buffer.data(), *got});
    if (!taken) co_return std::unexpected(std::move(taken).error());
    if (*taken < *got) co_return fail(kBadAnswer, "it says more than it was asked");
    co_return Result<>{};
  }

  /// `begun`: something of an answer came, so that the request must not be sent again by itself.
  Task<Result<Answer>> exchange(std::unique_ptr<Connection> connection, const Call& call, const Url& url,
                                std::string_view request, bool& begun) {
    ResponseReader reader{call.method == "HEAD", call.limit};
    std::vector<char> buffer(16 * 1024);
    auto first = co_await within(loop, call.first_byte, first_bytes(*connection, request, reader, buffer));
    begun = reader.begun();
    if (!first) co_return std::unexpected(unreachable(url, std::move(first).error()));
    while (!reader.whole()) {
      auto more = co_await more_bytes(*connection, reader, buffer);
      if (!more) co_return std::unexpected(unreachable(url, std::move(more).error()));
    }
    if (reader.reusable()) keep(url, std::move(connection));
    co_return reader.take();
  }

  Task<Result<Answer>> whole_call(const Call& call, const Url& url, std::string_view request) {
    if (auto connection = kept(url)) {
      bool begun = false;
      auto answer = co_await exchange(std::move(connection), call, url, request, begun);
      const bool closed = !answer && !begun && answer.error().problem == &kUnreachable;
      if (!closed || !call.repeatable) co_return answer;
    }
    auto connection = co_await within(loop, call.connect, dial(url));
    if (!connection) co_return std::unexpected(unreachable(url, std::move(connection).error()));
    bool begun = false;
    auto answer = co_await exchange(std::move(*connection), call, url, request, begun);
    co_return answer;
  }
};

Client::Client(Loop& loop, ClientOptions options) : state_(std::make_unique<State>(loop, std::move(options))) {}
Client::~Client() = default;

Task<Result<Answer>> Client::call(const Call& call) {
  auto url = parse_url(call.url);
  if (!url) co_return std::unexpected(std::move(url).error());
  auto request = request_text(call, *url);
  if (!request) co_return std::unexpected(std::move(request).error());
  auto answer = co_await within(state_->loop, call.total, state_->whole_call(call, *url, *request));
  co_return answer;
}

}  // namespace plimsoll::client
