#pragma once

// The only header of ours that joins Task and Asio; sources that touch sockets and timers include it, headers never do.

#include "plimsoll/async/scope.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>

#include <cstddef>
#include <optional>
#include <tuple>
#include <utility>

namespace plimsoll {

namespace details {
/// Operations of Asio under way in the loop of this thread: while there are any, it waits where Asio does.
extern thread_local std::size_t asio_operations;
}  // namespace details

/// `Result<std::size_t> n = co_await socket.async_read_some(buffer, use_task);`
/// Any Asio operation that completes with (error_code) or (error_code, T): failures are values, and the scope can stop
/// it.
struct use_task_t {};
inline constexpr use_task_t use_task{};

inline constexpr Problem kEndOfStream{"end-of-stream", 502, "The connection ended", ""};
inline constexpr Problem kNetwork{"network", 502, "The network failed", "", true};
inline Error error_of(const boost::system::error_code& code) {
  return {code == boost::asio::error::eof ? &kEndOfStream : &kNetwork, code.message()};
}

template <class T>
struct AsioOperation : Waiting {
  std::coroutine_handle<> waiting;
  Scope* scope = nullptr;
  Result<T> result{};
  boost::asio::cancellation_signal signal;

  void stop(Stop) noexcept override { signal.emit(boost::asio::cancellation_type::all); }
  void done(const boost::system::error_code& code) {
    --details::asio_operations;
    if (scope) {
      scope->go_on();
      if (code && scope->stopped() != Stop::none)
        result = std::unexpected(error_of(scope->stopped()));
      else if (code)
        result = std::unexpected(error_of(code));
    } else if (code) {
      result = std::unexpected(error_of(code));
    }
    waiting.resume();
  }
};

template <class T>
struct AsioHandler {
  using cancellation_slot_type = boost::asio::cancellation_slot;
  AsioOperation<T>* operation;
  cancellation_slot_type slot;
  cancellation_slot_type get_cancellation_slot() const noexcept { return slot; }
  void operator()(boost::system::error_code code) { operation->done(code); }
  template <class U>
  void operator()(boost::system::error_code code, U&& value) {
    if (!code) operation->result = std::forward<U>(value);
    operation->done(code);
  }
};

template <class T, class Initiation, class Arguments>
struct Awaited final : AsioOperation<T> {
  Initiation initiation;
  Arguments arguments;
  Awaited(Initiation i, Arguments a) : initiation(std::move(i)), arguments(std::move(a)) {}

  bool await_ready() const noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> parent) {
    this->waiting = parent;
    this->scope = parent.promise().scope;
    if (this->scope) {
      if (auto why = this->scope->stopped(); why != Stop::none) {
        this->result = std::unexpected(error_of(why));
        return false;
      }
      this->scope->wait_at(*this);
    }
    ++details::asio_operations;
    auto slot = this->scope ? this->signal.slot() : boost::asio::cancellation_slot{};
    std::apply([&](auto&&... a) { std::move(initiation)(AsioHandler<T>{this, slot}, std::move(a)...); },
               std::move(arguments));
    return true;
  }
  Result<T> await_resume() { return std::move(this->result); }
};

}  // namespace plimsoll

template <class... T>
class boost::asio::async_result<plimsoll::use_task_t, void(boost::system::error_code, T...)> {
  static_assert(sizeof...(T) <= 1);
  template <class... U>
  struct Of {
    using type = void;
  };
  template <class U>
  struct Of<U> {
    using type = std::decay_t<U>;
  };

 public:
  template <class Initiation, class... A>
  static auto initiate(Initiation initiation, plimsoll::use_task_t, A... a) {
    return plimsoll::Awaited<typename Of<T...>::type, Initiation, std::tuple<A...>>(std::move(initiation),
                                                                                    std::tuple<A...>(std::move(a)...));
  }
};
