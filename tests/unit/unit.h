/* What every unit test needs: cmocka and its prerequisites, in order. */
#ifndef HPCPACK_TESTS_UNIT_H
#define HPCPACK_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
