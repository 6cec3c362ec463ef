#include "plimsoll/database/sqlite_dialect.hpp"

#include "plimsoll/database/dialect_conformance.hpp"
#include "plimsoll/database/sqlite_speaker.hpp"

namespace plimsoll::database {
namespace {

INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, DialectConformance, SqliteSpeaker);

}  // namespace
}  // namespace plimsoll::database
