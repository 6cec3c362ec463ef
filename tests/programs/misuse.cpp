// Ways to misuse the library from C++ that the compiler refuses. tests/cpp_api_test.py compiles this: each line that
// says `refused: …` must lead to an error with those words.
#include <plimsoll/async/concurrent.hpp>
#include <plimsoll/testkit/service.hpp>

using namespace plimsoll;

namespace {

constexpr Problem kDeclared{"declared", 409, "Declared", "Nothing."};

// --- a body that ends before it is sent ---

struct Pieces final : Stream {
  Task<Result<Bytes>> read() override { co_return Bytes{}; }
};
Response local_view(Context& context) {
  std::string local = "text";
  Response response{.headers = Headers{context.arena}};
  response.body = std::string_view(local);  // refused: a body does not keep text that it is shown only
  return response;
}
Response local_pointer(Context& context) {
  std::string local = "text";
  Response response{.headers = Headers{context.arena}};
  response.body = local.c_str();  // refused: a body does not keep text that it is shown only
  return response;
}
Response local_stream(Context& context) {
  Pieces local;
  Response response{.headers = Headers{context.arena}};
  response.body = &local;  // refused: a stream is read after the handler has ended
  return response;
}
Response file_that_nobody_keeps_open(Context& context, int descriptor) {
  Response response{.headers = Headers{context.arena}};
  response.body = File{descriptor, 0, 1};  // refused: calling a private constructor of class 'plimsoll::File'
  return response;
}
Response shared_bytes_without_an_owner(Context& context, Bytes bytes) {
  Response response{.headers = Headers{context.arena}};
  response.body = Buffer{nullptr, bytes};  // refused: call to deleted constructor of 'Buffer'
  return response;
}
Lasting local_array() {
  const char local[] = "text";
  return Lasting{local};  // refused: is not a constant expression
}
void fields_of_this_block(Context& context) {
  context.promise(FieldBlock{});  // refused: call to deleted member function 'promise'
}

// --- a problem that ends before it is told ---

std::unexpected<Error> problem_of_this_function() {
  const Problem local{"local", 409, "Local", "Nothing."};
  return fail(local);  // refused: is not a constant expression
}
std::unexpected<Error> problem_of_this_expression() {
  return fail(Problem{"local", 409, "Local", "Nothing."});  // refused: is not a constant expression
}
void page_of_a_local_problem(Application& application) {
  const Problem local{"local", 409, "Local", "Nothing."};
  application.problem(local);  // refused: is not a constant expression
}

// --- parameters by names that are looked up when it is too late ---

const json::Value* parameter_by_name(Context& context) {
  return context.parameter("nmae");  // refused: no member named 'parameter' in 'plimsoll::Context'
}

// --- handlers of another form ---

struct Unknown {};
Task<Result<Response>> takes_what_nobody_gives(Unknown) { co_return fail(kDeclared); }
Task<Result<int>> gives_what_nobody_sends(Context&) { co_return 1; }
Result<Response> is_no_coroutine(Context&) { return fail(kDeclared); }
void bind(Application& application) {
  application.on("a", takes_what_nobody_gives);  // refused: a handler takes Request&, Context&
  application.on("b", gives_what_nobody_sends);  // refused: a handler gives Task<Result<A>>, where A is Response
  application.on("c", is_no_coroutine);          // refused: a handler is a coroutine that gives Task<Result<A>>
}
struct Row {
  std::string_view title;
};
Task<Result<Response>> view_of_a_row(Database database) {
  auto row = co_await database.find<Row>("SELECT title FROM books");  // refused: a row does not last
  if (!row) co_return passed_on(row);
  co_return fail(kNotFound);
}

// --- a task that outlives what it refers to ---

Task<Result<std::string>> reads(const std::string& text) { co_return text; }
Task<Result<std::string>> keeps_a_task() {
  auto task = reads(std::string("gone"));  // refused: temporary whose address is used as value of local variable
  auto text = co_await std::move(task);
  co_return text;
}
Task<Result<std::string>> reads_each(const std::vector<std::string>& items) {
  auto all = map_concurrent(items, 2, [](const auto& item) { return reads(item); });  // refused: neither a coroutine
  auto gone = map_concurrent(std::vector<std::string>{"gone"}, 2,  // refused: temporary whose address is used as value
                             [](const std::string& item) -> Task<Result<std::string>> { co_return item; });
  co_return fail(kNotFound);
}

}  // namespace
