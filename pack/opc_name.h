/*
 * opc_name.h - names of files and names of parts (ECMA-376 part 2, section 6.2.2;
 * what .NET's System.IO.Packaging does is the reference for encoding).
 *
 * In the zip a part is an item named like the part without its first '/': ASCII,
 * everything else as %XX of its UTF-8.
 */
#ifndef HPCPACK_PACK_OPC_NAME_H
#define HPCPACK_PACK_OPC_NAME_H

#include <stdbool.h>

#include "blob/base/err.h"

#define OPC_CONTENT_TYPES "[Content_Types].xml"

/*
 * The item name for a relative path ("a b/ü.txt" -> "a%20b/%C3%BC.txt"). A fresh
 * string; NULL and ERR_FORMAT for what has no part name: not UTF-8, an empty
 * segment, "." or "..", a segment that ends in a dot, '\' in a name, and names that
 * OPC keeps for itself (opc_is_own()).
 */
char *opc_name_encode(const char *path, struct err *err);

/*
 * The path for an item name of a package: percent-decoded once. A fresh string; NULL
 * and ERR_FORMAT (the message says what is wrong with it, the name is not in it) for
 * a broken or forbidden escape (%2F, %5C, %00), or when it decodes to what is not
 * UTF-8. What else can be wrong with a path is pack/index.h's to find.
 */
char *opc_name_decode(const char *item, struct err *err);

/* One of OPC's own items: the content types, relationships (_rels/.rels,
 * DIR/_rels/NAME.rels), core properties (package/services/metadata/core-properties/
 * *.psmdcp), an interleaved piece (name/[n].piece, name/[n].last.piece). Compared
 * without case. */
bool opc_is_own(const char *item);
bool opc_is_piece(const char *item);

#endif
