#include "plimsoll/testkit/service.hpp"

#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/exchange/cache.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <stdexcept>

namespace plimsoll::testkit {
namespace {

using testing::HasSubstr;

constexpr auto kContract = R"(
openapi: 3.1.0
info: {title: Library, version: '1'}
paths:
  /books:
    get:
      operationId: listBooks
      security: []
      parameters:
        - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 100, default: 10}}
        - {name: author, in: query, schema: {type: string}}
      responses:
        '200':
          description: Books
          content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Book'}}}}
    post:
      operationId: addBook
      security: [{bearer: [books:write]}]
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: '#/components/schemas/NewBook'}}}
      responses:
        '201': {description: The book, content: {application/json: {schema: {$ref: '#/components/schemas/Book'}}}}
  /books/{id}:
    get:
      operationId: getBook
      security: []
      parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
      responses:
        '200': {description: The book, content: {application/json: {schema: {$ref: '#/components/schemas/Book'}}}}
        '404': {description: There is no such book.}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Book:
      type: object
      required: [id, title]
      properties: {id: {type: integer}, title: {type: string}, year: {type: integer}}
    NewBook:
      type: object
      required: [title]
      additionalProperties: false
      properties: {title: {type: string, minLength: 1}, year: {type: integer}}
)";
constexpr auto kDeployment = "roles: {librarian: ['books:write'], reader: []}\n";

struct Book {
  std::int64_t id;
  std::string title;
  std::optional<std::int64_t> year;
};
struct NewBook {
  std::string title;
  std::optional<std::int64_t> year;
};

Task<Result<Json<std::vector<Book>>>> list_books(Database database, Parameter<"limit", int> limit,
                                                 Parameter<"author", std::optional<std::string_view>> author) {
  auto books = co_await database.all<Book>("SELECT id, title, year FROM books WHERE ? IN ('', author) LIMIT ?",
                                           author->value_or(""), *limit);
  if (!books) co_return passed_on(books);
  co_return std::move(*books);
}
Task<Result<Json<Book>>> get_book(Database database, Parameter<"id", std::int64_t> id) {
  auto book = co_await database.get<Book>("SELECT id, title, year FROM books WHERE id = ?", *id);
  if (!book) co_return passed_on(book);
  co_return std::move(*book);
}
Task<Result<Json<Book, 201>>> insert(database::Session& session, std::string title, std::optional<std::int64_t> year,
                                     std::string author) {
  auto book =
      co_await find<Book>(session, "INSERT INTO books (title, year, author) VALUES (?, ?, ?) RETURNING id, title, year",
                          title, year, author);
  if (!book) co_return passed_on(book);
  if (title == "refused") co_return fail(database::kConflict, "refused after the write");
  co_return std::move(**book);
}
Task<Result<Committed<Json<Book, 201>>>> add_book(Context& context, UnitOfWork unit, const Principal& caller,
                                                  JsonBody<NewBook> body) {
  auto added = co_await unit.answer(insert, body->title, body->year, std::string(caller.subject));
  if (added) context.promise("x-added-by", std::string(caller.subject));
  co_return added;
}

void bind_all(Application& application) {
  application.on("listBooks", list_books).on("getBook", get_book).on("addBook", add_book);
}

class Library : public testing::Test {
 protected:
  Library() {
    std::ofstream(folder_ / "library.yaml") << kContract;
    std::ofstream(folder_ / "plimsoll.yaml") << kDeployment;
    std::filesystem::create_directory(folder_ / "migrations");
    std::ofstream(folder_ / "migrations/1-books.sql")
        << "CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT NOT NULL, year INTEGER, author TEXT);";
  }
  ServiceOptions options(std::function<void(Application&)> program = bind_all) const {
    return {.contract = folder_ / "library.yaml",
            .deployment = folder_ / "plimsoll.yaml",
            .migrations = folder_ / "migrations",
            .program = std::move(program)};
  }
  /// What the start says when the operation has that handler.
  template <class F>
  std::string refused(const char* operation, F handler) {
    try {
      Service service{options([&](Application& application) {
        bind_all(application);
        application.on(operation, handler);
      })};
    } catch (const std::runtime_error& error) { return error.what(); }
    return "started";
  }
  database::TestFolder folder_;
};

TEST_F(Library, ArgumentsAreReadFromTheRequestAndAnswersWritten) {
  Service library{options()};
  auto anna = library.as("anna", {.roles = {"librarian"}});
  const auto added = anna.post("/books", R"({"title":"Emma","year":1815})");
  EXPECT_EQ(added.status, 201) << added.body;
  EXPECT_EQ(added.body, R"({"id":1,"title":"Emma","year":1815})");
  EXPECT_EQ(added.header("content-type"), "application/json");
  EXPECT_EQ(added.header("x-added-by"), "anna");
  EXPECT_EQ(anna.post("/books", R"({"title":"Persuasion"})").status, 201);
  auto anyone = library.anonymous();
  EXPECT_EQ(anyone.get("/books/2").body, R"({"id":2,"title":"Persuasion"})");
  EXPECT_EQ(anyone.get("/books?limit=1").body, R"([{"id":1,"title":"Emma","year":1815}])");
  EXPECT_EQ(anyone.get("/books?author=ben").body, "[]");
  EXPECT_EQ(anyone.get("/books/3").problem, "not-found");
  EXPECT_EQ(library.sql<std::int64_t>("SELECT count(*) FROM books WHERE author = ?", "anna"),
            std::vector<std::int64_t>{2});
}

TEST_F(Library, CallersHaveTheRolesThatATestGivesThem) {
  Service library{options()};
  EXPECT_EQ(library.anonymous().post("/books", R"({"title":"Emma"})").status, 401);
  EXPECT_EQ(library.as("ben", {.roles = {"reader"}}).post("/books", R"({"title":"Emma"})").status, 403);
  EXPECT_EQ(library.as("ben", {.scopes = {"books:write"}}).post("/books", R"({"title":"Emma"})").status, 201);
}

TEST_F(Library, AnErrorTakesBackWhatItsUnitOfWorkWrote) {
  Service library{options()};
  EXPECT_EQ(library.as("anna", {.roles = {"librarian"}}).post("/books", R"({"title":"refused"})").problem, "conflict");
  EXPECT_EQ(library.sql<std::int64_t>("SELECT count(*) FROM books"), std::vector<std::int64_t>{0});
}

TEST_F(Library, TheClockIsTheTests) {
  Service library{options()};
  auto anna = library.as("anna", {.roles = {"librarian"}});
  EXPECT_EQ(anna.post("/books", R"({"title":"Emma"})").status, 201);
  library.clock().advance(std::chrono::hours{13});
  EXPECT_EQ(anna.post("/books", R"({"title":"Emma"})").status, 401);  // the token is good for 12 hours
}

struct Total {
  std::int64_t books;
};
std::atomic<int> counted{0};
Task<Result<Total>> count_books(Database database) {
  ++counted;
  auto total = co_await database.get<Total>("SELECT count(*) FROM books");
  co_return total;
}

TEST_F(Library, AValueIsFilledOnceUntilItExpiresOrItsTableIsWritten) {
  Service library{options([](Application& application) {
    bind_all(application);
    application
        .on("getBook",
            [](Context& context, Database database, Cache<"total", "books"> cache) -> Task<Result<Response>> {
              auto total = co_await cache.get_or_fill<Total>("all", std::chrono::minutes{1}, count_books, database);
              if (!total) co_return passed_on(total);
              co_return json_response(context, *total);
            })
        .on("addBook",
            [](Context& context, UnitOfWork unit, JsonBody<NewBook> body) -> Task<Result<Committed<Json<Book, 201>>>> {
              context.wrote("books");
              auto added = co_await unit.answer(insert, body->title, body->year, std::string("anna"));
              co_return added;
            });
  })};
  auto anna = library.as("anna", {.roles = {"librarian"}});
  counted = 0;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(anna.get("/books/1").body, R"({"books":0})");
  EXPECT_EQ(counted, 1);
  library.clock().advance(std::chrono::minutes{2});
  EXPECT_EQ(anna.get("/books/1").body, R"({"books":0})");
  EXPECT_EQ(counted, 2);
  EXPECT_EQ(anna.post("/books", R"({"title":"Emma"})").status, 201);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(anna.get("/books/1").body, R"({"books":1})");
  EXPECT_EQ(counted, 3);
}

Task<Result<Json<Book, 201>>> insert_and_enqueue(database::Session& session, std::string title,
                                                 std::optional<std::int64_t> year, std::string author,
                                                 Job<"receipt"> receipt) {
  auto book = co_await insert(session, title, year, author);
  if (!book) co_return book;
  auto enqueued = co_await receipt.enqueue(session, book->value);
  if (!enqueued) co_return passed_on(enqueued);
  co_return book;
}

TEST_F(Library, JobsRunWhenTheTestSaysSo) {
  int receipts = 0;
  bool broken = false;
  Service library{options([&](Application& application) {
    bind_all(application);
    application.on("addBook",
                   [](UnitOfWork unit, JsonBody<NewBook> body,
                      Job<"receipt"> receipt) -> Task<Result<Committed<Json<Book, 201>>>> {
                     auto added = co_await unit.answer(insert_and_enqueue, body->title, body->year, std::string("anna"),
                                                       receipt);
                     co_return added;
                   });
    application.job("receipt", [&](queue::Execution& run) -> Task<Result<queue::Output>> {
      ++receipts;
      if (broken) co_return fail(database::kUnavailable);
      const auto work = [&](database::Session& session) -> Task<Result<queue::Output>> {
        auto written = co_await execute(session, "UPDATE books SET author = author || ', billed'");
        if (!written) co_return passed_on(written);
        co_return queue::Output{};
      };
      auto done = co_await run.complete(work);
      if (!done) co_return passed_on(done);
      co_return queue::Output{};
    });
  })};
  EXPECT_EQ(library.run_jobs(), 0);
  auto anna = library.as("anna", {.roles = {"librarian"}});
  ASSERT_EQ(anna.post("/books", R"({"title":"Emma"})").status, 201);
  EXPECT_EQ(receipts, 0);
  EXPECT_EQ(library.run_jobs(), 1);
  EXPECT_EQ(receipts, 1);
  EXPECT_EQ(library.sql<std::string>("SELECT author FROM books"), std::vector<std::string>{"anna, billed"});
  EXPECT_EQ(library.run_jobs(), 0);
  for (int i = 0; i < 40; ++i) ASSERT_EQ(anna.post("/books", R"({"title":"Emma"})").status, 201);
  EXPECT_EQ(library.run_jobs(), 40);  // more than one claim takes, and more than run at a time
  EXPECT_EQ(receipts, 41);
  broken = true;
  ASSERT_EQ(anna.post("/books", R"({"title":"Emma"})").status, 201);
  EXPECT_EQ(library.run_jobs(), 1);
  EXPECT_EQ(library.run_jobs(), 0);  // it waits for its next attempt
  broken = false;
  library.clock().advance(std::chrono::hours{1});
  EXPECT_EQ(library.run_jobs(), 1);
  EXPECT_EQ(receipts, 43);
  EXPECT_EQ(library.sql<std::string>("SELECT DISTINCT state FROM plimsoll_jobs"),
            std::vector<std::string>{"completed"});
}

// --- what refuses the start ---

TEST_F(Library, AParameterThatIsNotDeclaredRefusesTheStart) {
  const auto said = refused("listBooks", [](Context& context, Parameter<"limti", int>) -> Task<Result<Response>> {
    co_return empty_response(context);
  });
  EXPECT_THAT(said, HasSubstr(R"(operation listBooks: it has no parameter "limti"; did you mean "limit"?)"));
  EXPECT_THAT(said, HasSubstr("handler-mismatch"));
  EXPECT_THAT(said, HasSubstr("library.yaml:7"));
}

TEST_F(Library, AParameterOfAnotherTypeRefusesTheStart) {
  const auto of = [&]<class T>(std::type_identity<T>) {
    return refused("listBooks", [](Context& context, Parameter<"author", T>) -> Task<Result<Response>> {
      co_return empty_response(context);
    });
  };
  EXPECT_THAT(of(std::type_identity<std::string>{}), HasSubstr(R"("author" may be absent: take a std::optional)"));
  EXPECT_THAT(of(std::type_identity<std::optional<int>>{}),
              HasSubstr(R"("author" is of type string, and the handler takes an integer)"));
  EXPECT_EQ(of(std::type_identity<std::optional<std::string>>{}), "started");
}

TEST_F(Library, ABodyThatTheContractDoesNotHaveRefusesTheStart) {
  struct Misspelt {
    std::string tilte;
  };
  struct Wrong {
    std::int64_t title;
    std::int64_t year;
  };
  EXPECT_THAT(refused("addBook",
                      [](Context& context, JsonBody<Misspelt>) -> Task<Result<Response>> {
                        co_return empty_response(context);
                      }),
              HasSubstr(R"(the request body has no member "tilte"; did you mean "title"?)"));
  const auto wrong = refused("addBook", [](Context& context, JsonBody<Wrong>) -> Task<Result<Response>> {
    co_return empty_response(context);
  });
  EXPECT_THAT(wrong, HasSubstr("the request body/title is of type string, and the handler takes an integer"));
  EXPECT_THAT(wrong, HasSubstr("the request body/year may be absent: take a std::optional"));
  EXPECT_THAT(refused("getBook",
                      [](Context& context, JsonBody<Misspelt>) -> Task<Result<Response>> {
                        co_return empty_response(context);
                      }),
              HasSubstr("it has no request body, and the handler takes one"));
}

TEST_F(Library, AResponseThatTheContractDoesNotDeclareRefusesTheStart) {
  struct Partial {
    std::int64_t id;
    std::optional<std::string> title;
  };
  EXPECT_THAT(refused("addBook", [](Context&) -> Task<Result<Json<Book>>> { co_return fail(kNotFound); }),
              HasSubstr("the handler answers 200, which the contract does not declare; it declares 201"));
  EXPECT_THAT(refused("getBook", [](Context&) -> Task<Result<PlainText<>>> { co_return fail(kNotFound); }),
              HasSubstr("the handler answers 200 with text/plain, which the contract does not declare; it declares "
                        "application/json"));
  EXPECT_THAT(refused("getBook", [](Context&) -> Task<Result<NoContent<200>>> { co_return fail(kNotFound); }),
              HasSubstr("the handler answers 200 without a body, and the contract declares one"));
  EXPECT_THAT(refused("getBook", [](Context&) -> Task<Result<Json<Partial>>> { co_return fail(kNotFound); }),
              HasSubstr("the body of 200/title is required, and the handler may leave it out"));
  EXPECT_THAT(refused("getBook", [](Context&) -> Task<Result<Json<NewBook>>> { co_return fail(kNotFound); }),
              HasSubstr("the body of 200/id is required, and the handler does not give it"));
  EXPECT_THAT(
      refused("getBook", [](Context&) -> Task<Result<OneOf<Json<Book>, NoContent<>>>> { co_return fail(kNotFound); }),
      HasSubstr("the handler answers 204, which the contract does not declare; it declares 200, 404"));
}

TEST_F(Library, ARoleOrACallerThatIsNotThereRefusesTheStart) {
  EXPECT_THAT(
      refused("addBook",
              [](Context& context, Role<"libarian">) -> Task<Result<Response>> { co_return empty_response(context); }),
      HasSubstr(R"(the handler looks for the role "libarian")"));
  EXPECT_THAT(
      refused("getBook",
              [](Context& context, const Principal&) -> Task<Result<Response>> { co_return empty_response(context); }),
      HasSubstr("the operation is for unauthenticated callers too"));
}

TEST_F(Library, AHandlerOfNoOperationRefusesTheStart) {
  EXPECT_THAT(refused("getBooks", get_book), HasSubstr("getBooks"));
}

// --- what is safe ---

TEST_F(Library, FieldsAndBodiesAreCopiedFromWhatEndsBeforeThey) {
  Service library{options([](Application& application) {
    bind_all(application);
    application.on("getBook", [](Context& context) -> Task<Result<Response>> {
      Response response{.headers = Headers{context.arena}};
      {
        std::string name = "x-a-name-that-is-longer-than-a-short-string", value(100, 'v'), body(2000, 'b');
        response.headers.add(name, value);
        response.headers.set("content-type", std::string("text/") + std::string(60, 'p'));
        context.promise(std::string("x-promised-") + std::string(40, 'n'), value);
        char small[4] = "abc";
        response.headers.add("x-small", small);
        small[0] = 'X';
        response.body = context.kept(body);
        std::ranges::fill(name, '!'), std::ranges::fill(value, '!'), std::ranges::fill(body, '!');
      }
      co_return response;
    });
  })};
  const auto answer = library.anonymous().get("/books/1");
  EXPECT_EQ(answer.body, std::string(2000, 'b'));
  EXPECT_EQ(answer.header("x-a-name-that-is-longer-than-a-short-string"), std::string(100, 'v'));
  EXPECT_EQ(answer.header("content-type"), "text/" + std::string(60, 'p'));
  EXPECT_EQ(answer.header("x-promised-" + std::string(40, 'n')), std::string(100, 'v'));
  EXPECT_EQ(answer.header("x-small"), "abc");
}

TEST_F(Library, AStringIsItsBodysOwn) {
  Service library{options([](Application& application) {
    bind_all(application);
    application.on("getBook", [](Context& context) -> Task<Result<Response>> {
      co_return Response{.headers = Headers{context.arena}, .body = std::string(3000, 'o')};
    });
  })};
  EXPECT_EQ(library.anonymous().get("/books/1").body, std::string(3000, 'o'));
}

Response with_fields_of_its_own() {
  Arena own;
  Response response{.headers = Headers{own}};
  response.headers.add("x-own", std::string(40, 'x'));
  return response;
}
class FieldsOfItsOwn final : public Handler {
 public:
  Task<Result<Response>> handle(Request&, Context&) override { co_return with_fields_of_its_own(); }
};

/// Of each way in which a program gives a handler.
TEST_F(Library, FieldsInAnArenaOfTheHandlersAreRefused) {
  const std::function<void(Application&)> ways[] = {
      [](auto& application) {
        application.on("getBook", [](Context&) -> Task<Result<Response>> { co_return with_fields_of_its_own(); });
      },
      [](auto& application) {
        application.on("getBook",
                       [](Request&, Context&) -> Task<Result<Response>> { co_return with_fields_of_its_own(); });
      },
      [](auto& application) { application.on("getBook", std::make_unique<FieldsOfItsOwn>()); }};
  for (auto& way : ways) {
    Service library{options([&](Application& application) {
      bind_all(application);
      way(application);
    })};
    const auto answer = library.anonymous().get("/books/1");
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(answer.problem, "internal");
  }
}

TEST_F(Library, ARowThatDoesNotFitItsStructIsAnInternalError) {
  struct Year {
    std::int64_t year;
  };
  Service library{options([](Application& application) {
    bind_all(application);
    application.on("getBook", [](Context& context, Database database) -> Task<Result<Response>> {
      auto year = co_await database.get<Year>("SELECT year FROM books");
      if (!year) co_return passed_on(year);
      co_return empty_response(context);
    });
  })};
  library.sql("INSERT INTO books (title) VALUES ('Emma')");
  EXPECT_EQ(library.anonymous().get("/books/1").problem, "internal");
}

}  // namespace
}  // namespace plimsoll::testkit
