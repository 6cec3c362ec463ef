#pragma once

#include "plimsoll/exchange/answer.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/rows.hpp"
#include "plimsoll/exchange/unit.hpp"
#include "plimsoll/http/body_problems.hpp"
#include "plimsoll/json/members.hpp"
#include "plimsoll/queue/queue.hpp"

#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace plimsoll {

// What a handler takes. Its arguments may be, in any order:
//
//   Request&, Context&           the request and what is known about it
//   Parameter<"limit", int>      a parameter that the contract declares, by its name
//   JsonBody<NewBook>            the request body as a struct
//   const Principal&             the caller, of an operation that is for authenticated callers only
//   Role<"editor">               whether the caller has a role that the deployment declares
//   Job<"send_receipt">          a kind of job that the deployment or the program declares
//   Upstream<"reviews">          a service of the deployment (handler/upstream/argument.hpp)
//   Log, Counter<"name", "help"> lines and numbers (exchange/observing.hpp)
//   Database                     reads of the deployment's database
//   UnitOfWork                   writes that become durable together with the answer
//
// All of it is held against the contract and the deployment when the server starts: a name that is not declared, a type
// that the schema does not have, a member that may be absent refuse the start.

/// A parameter of the operation. `*limit` is its value; std::optional where it may be absent.
template <Name ParameterName, class T = std::string_view>
class Parameter {
 public:
  using Value = T;
  explicit Parameter(T value) : value_(std::move(value)) {}
  const T& operator*() const { return value_; }
  const T* operator->() const { return &value_; }

 private:
  T value_;
};

/// The request body as a struct. `body->title` is a member. std::string_view members last as long as the exchange.
template <class T>
class JsonBody {
 public:
  using Value = T;
  explicit JsonBody(T value) : value_(std::move(value)) {}
  const T& operator*() const { return value_; }
  const T* operator->() const { return &value_; }
  T& operator*() { return value_; }
  T* operator->() { return &value_; }

 private:
  T value_;
};

/// The answer of a unit of work, which has committed when the handler has it: of `UnitOfWork::answer`.
template <class A>
struct Committed {
  Response response;
};

/// Writes of a handler. What the function does is committed before its answer leaves, or none of it happens.
class UnitOfWork {
 public:
  explicit UnitOfWork(Context& context) : context_(&context) {}

  /// Runs `function(session, arguments…)`, a coroutine that waits for nothing but its session: on SQLite it has the
  /// only writer. It gives an answer, of any type that a handler gives; an error rolls back what it did. It may be
  /// called again when its work was lost through no fault of its own.
  template <class F, class... X>
  auto answer(F function, X... arguments) const;

 private:
  Context* context_;
};

/// Whether the caller has that role.
template <Name RoleName>
class Role {
 public:
  explicit Role(bool has) : has_(has) {}
  explicit operator bool() const { return has_; }

 private:
  bool has_;
};

namespace binding {
/// Left in an exchange whose unit of work enqueues a job.
struct JobEnqueued {};
}  // namespace binding

/// Enqueues jobs of that kind.
template <Name Kind>
class Job {
 public:
  explicit Job(Context& context) : context_(&context) {}

  /// Enqueues a job in the transaction of the session, so that it runs if that commits and not otherwise. Gives its id.
  template <class T>
  Task<Result<std::string>> enqueue(database::Session& session, T payload, Nanoseconds delay = 0) const {
    if (!context_->noted<binding::JobEnqueued>()) context_->note<binding::JobEnqueued>();
    queue::Job job;
    job.kind = Kind.view();
    job.payload = json::to_string(payload);
    job.delay = delay;
    auto id = co_await context_->services.queue->enqueue(session, job);
    co_return id;
  }

 private:
  Context* context_;
};

/// What a handler takes for granted, held against the contract and the deployment. Each adds a sentence to `mistakes`
/// for all that is otherwise.
namespace binding {

using Mistakes = std::vector<std::string>;

/// The place of the parameter in Input::parameters.
std::size_t parameter(const Build& build, std::string_view name, const json::Shape& shape, Mistakes& mistakes);
void body(const Build& build, const json::Shape& shape, Mistakes& mistakes);
void answer(const Build& build, std::uint16_t status, std::string_view media_type, const json::Shape* shape,
            Mistakes& mistakes);
void role(const Build& build, std::string_view name, Mistakes& mistakes);
void caller(const Build& build, Mistakes& mistakes);
void database(const Build& build, Mistakes& mistakes);
void job(const Build& build, std::string_view kind, Mistakes& mistakes);
bool has_role(const Context& context, std::string_view name);
/// `in`, `pointer` and message as the problem `invalid`.
Error invalid(std::string_view in, json::Misfit misfit);

}  // namespace binding

/// How an argument of that type is bound when the server starts, and read for each request.
template <class T>
struct Argument {
  static_assert(!std::same_as<T, T>,
                "a handler takes Request&, Context&, const Principal&, Database, UnitOfWork, Parameter<\"name\", T>, "
                "JsonBody<T>, "
                "Role<\"name\">, Job<\"name\"> and Upstream<\"name\">");
};

template <>
struct Argument<Request&> {
  Argument(const Build&, binding::Mistakes&) {}
  Request* read(Request& request, Context&, Error*) const { return &request; }
  static Request& pass(Request* read) { return *read; }
};
template <>
struct Argument<Context&> {
  Argument(const Build&, binding::Mistakes&) {}
  Context* read(Request&, Context& context, Error*) const { return &context; }
  static Context& pass(Context* read) { return *read; }
};
template <>
struct Argument<const Principal&> {
  Argument(const Build& build, binding::Mistakes& mistakes) { binding::caller(build, mistakes); }
  const Principal* read(Request&, Context& context, Error*) const {
    static constexpr Principal kNobody{};
    return context.principal ? context.principal : &kNobody;
  }
  static const Principal& pass(const Principal* read) { return *read; }
};
template <>
struct Argument<Database> {
  Argument(const Build& build, binding::Mistakes& mistakes) { binding::database(build, mistakes); }
  Database read(Request&, Context& context, Error*) const { return Database{context}; }
  static Database pass(Database read) { return read; }
};
template <>
struct Argument<UnitOfWork> {
  Argument(const Build& build, binding::Mistakes& mistakes) { binding::database(build, mistakes); }
  UnitOfWork read(Request&, Context& context, Error*) const { return UnitOfWork{context}; }
  static UnitOfWork pass(UnitOfWork read) { return read; }
};
template <Name Kind>
struct Argument<Job<Kind>> {
  Argument(const Build& build, binding::Mistakes& mistakes) { binding::job(build, Kind.view(), mistakes); }
  Job<Kind> read(Request&, Context& context, Error*) const { return Job<Kind>{context}; }
  static Job<Kind> pass(Job<Kind> read) { return read; }
};
template <Name RoleName>
struct Argument<Role<RoleName>> {
  Argument(const Build& build, binding::Mistakes& mistakes) { binding::role(build, RoleName.view(), mistakes); }
  bool read(Request&, Context& context, Error*) const { return binding::has_role(context, RoleName.view()); }
  static Role<RoleName> pass(bool read) { return Role<RoleName>{read}; }
};
template <Name ParameterName, class T>
struct Argument<Parameter<ParameterName, T>> {
  Argument(const Build& build, binding::Mistakes& mistakes)
      : index(binding::parameter(build, ParameterName.view(), json::shape<T>, mistakes)) {}
  T read(Request&, Context& context, Error* error) const {
    T value{};
    const auto& all = context.input.parameters;
    const auto* given = index < all.size() ? all[index] : nullptr;
    json::Misfit misfit;
    bool fits = given ? json::read(*given, value, misfit) : json::members::is_optional<T>;
    if (fits) return value;
    if (!given) misfit.message = "is required";
    misfit.pointer.insert(0, "/" + std::string(ParameterName.view()));
    *error = binding::invalid("parameter", std::move(misfit));
    return value;
  }
  static Parameter<ParameterName, T> pass(T read) { return Parameter<ParameterName, T>{std::move(read)}; }
  std::size_t index;
};
template <class T>
struct Argument<JsonBody<T>> {
  Argument(const Build& build, binding::Mistakes& mistakes) { binding::body(build, json::shape<T>, mistakes); }
  T read(Request&, Context& context, Error* error) const {
    T value{};
    json::Misfit misfit;
    const bool fits =
        context.input.body ? json::read(*context.input.body, value, misfit) : json::members::is_optional<T>;
    if (fits) return value;
    if (!context.input.body) misfit.message = "is required";
    *error = binding::invalid("body", std::move(misfit));
    return value;
  }
  static JsonBody<T> pass(T read) { return JsonBody<T>{std::move(read)}; }
};

/// Which responses a type of result gives.
template <class T>
struct Answers {
  static_assert(!std::same_as<T, T>,
                "a handler gives Task<Result<A>>, where A is Response, Json<T>, PlainText<>, NoContent<>, "
                "Content<\"media/type\"> or OneOf of these");
};
template <>
struct Answers<Response> {
  static void check(const Build&, binding::Mistakes&) {}
  static Response respond(Response&& answer, Context&) { return std::move(answer); }
};
template <class A>
  requires requires {
    A::status;
    A::media_type;
    A::shape;
  }
struct Answers<A> {
  static void check(const Build& build, binding::Mistakes& mistakes) {
    binding::answer(build, A::status, A::media_type, A::shape, mistakes);
  }
  static Response respond(A&& answer, Context& context) { return answer.respond(context); }
};
template <class... A>
struct Answers<OneOf<A...>> {
  static void check(const Build& build, binding::Mistakes& mistakes) { (Answers<A>::check(build, mistakes), ...); }
  static Response respond(OneOf<A...>&& answer, Context& context) { return answer.respond(context); }
};

template <class A>
struct Answers<Committed<A>> {
  static void check(const Build& build, binding::Mistakes& mistakes) { Answers<A>::check(build, mistakes); }
  static Response respond(Committed<A>&& answer, Context&) { return std::move(answer.response); }
};

/// Arguments and result of a function.
template <class F>
struct Signature : Signature<decltype(&F::operator())> {};
template <class R, class... A>
struct Signature<R (*)(A...)> {
  using Result = R;
  using Arguments = std::tuple<A...>;
};
template <class R, class C, class... A>
struct Signature<R (C::*)(A...)> : Signature<R (*)(A...)> {};
template <class R, class C, class... A>
struct Signature<R (C::*)(A...) const> : Signature<R (*)(A...)> {};

template <class R>
struct AnswerOf {
  static_assert(!std::same_as<R, R>, "a handler is a coroutine that gives Task<Result<A>>");
};
template <class A>
struct AnswerOf<Task<Result<A>>> {
  using Type = A;
};

namespace binding {

template <class A, class F, class... X>
Task<Result<Committed<A>>> answer_of_unit(Context& context, F function, X... arguments) {
  auto work = [&](plimsoll::database::Session& session) -> Task<Result<Response>> {
    auto answer = co_await function(session, arguments...);
    if (!answer) co_return std::unexpected(std::move(answer).error());
    co_return Answers<A>::respond(std::move(*answer), context);
  };
  auto done = co_await context.unit().answer(work);
  if (!done) co_return std::unexpected(std::move(done).error());
  if (context.noted<JobEnqueued>()) context.services.queue->notify();
  co_return Committed<A>{std::move(*done)};
}

}  // namespace binding

template <class F, class... X>
PLIMSOLL_FORWARDS auto UnitOfWork::answer(F function, X... arguments) const {
  using Given = typename AnswerOf<std::invoke_result_t<F&, database::Session&, X&...>>::Type;
  return binding::answer_of_unit<Given>(*context_, std::move(function), std::move(arguments)...);
}

/// A function as the handler of one operation of a plan.
template <class F, class Arguments>
class BoundFunction;
template <class F, class... A>
class BoundFunction<F, std::tuple<A...>> final : public Handler {
  using Given = typename AnswerOf<typename Signature<F>::Result>::Type;

 public:
  BoundFunction(F& function, const Build& build, binding::Mistakes& mistakes)
      : function_(function), arguments_{Argument<A>(build, mistakes)...} {
    Answers<Given>::check(build, mistakes);
  }
  PLIMSOLL_FORWARDS Task<Result<Response>> handle(Request& request, Context& context) override {
    if constexpr (std::same_as<std::tuple<A...>, std::tuple<Request&, Context&>> && std::same_as<Given, Response>)
      return function_(request, context);
    else
      return run(request, context, std::index_sequence_for<A...>{});
  }

 private:
  template <std::size_t... I>
  Task<Result<Response>> run(Request& request, Context& context, std::index_sequence<I...>) {
    Error wrong;
    const Problem* const none = wrong.problem;
    bool failed = false;
    const auto one = [&](const auto& argument) {
      Error error;
      auto value = argument.read(request, context, &error);
      if (!failed && error.problem != none) failed = true, wrong = std::move(error);
      return value;
    };
    auto read = std::tuple{one(std::get<I>(arguments_))...};
    if (failed) co_return std::unexpected(std::move(wrong));
    auto answer = co_await function_(Argument<A>::pass(std::move(std::get<I>(read)))...);
    if (!answer) co_return std::unexpected(std::move(answer).error());
    co_return Answers<Given>::respond(std::move(*answer), context);
  }

  F& function_;
  std::tuple<Argument<A>...> arguments_;
};

/// A function of the program as a handler: bound anew for each plan that it answers an operation of.
template <class F>
class Function final : public Handler {
  using Arguments = typename Signature<F>::Arguments;

 public:
  explicit Function(F function) : function_(std::move(function)) {}
  Task<Result<Response>> handle(Request&, Context&) override {
    co_return std::unexpected(Error{&kInternal}.because("a handler was called that is not bound"));
  }
  std::unique_ptr<Handler> bind(const Build& build, std::vector<std::string>& mistakes) override {
    return std::make_unique<BoundFunction<F, Arguments>>(function_, build, mistakes);
  }

 private:
  F function_;
};

}  // namespace plimsoll
