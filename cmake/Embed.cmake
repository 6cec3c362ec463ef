# plimsoll_embed(room folder namespace): the files of a folder below the room become part of the room's library, as scripts/embed says.
function(plimsoll_embed room folder namespace)
  set(source ${CMAKE_SOURCE_DIR}/plimsoll/${room}/${folder})
  get_filename_component(parent ${folder} DIRECTORY)
  string(REPLACE "/" "_" name ${room}/${folder})
  set(output ${CMAKE_BINARY_DIR}/embedded/${name}.cpp)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/embedded)
  file(GLOB files CONFIGURE_DEPENDS ${source}/*)
  add_custom_command(OUTPUT ${output}
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/scripts/embed ${source} ${namespace} plimsoll/${room}/${parent}/assets.hpp > ${output}
    DEPENDS ${files} ${CMAKE_SOURCE_DIR}/scripts/embed
    COMMENT "Embedding plimsoll/${room}/${folder}")
  target_sources(plimsoll_${room} PRIVATE ${output})
endfunction()
