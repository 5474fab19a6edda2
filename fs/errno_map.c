#include <config.h>

#include "fs/errno_map.h"

#include <errno.h>

/*
 * Not ENOENT for a blob that is gone, nor EROFS for a lost lease: the file that
 * the job has open is there, and it was writable. What failed is the medium.
 */
int errno_of(enum err_code code)
{
	switch (code) {
	case ERR_NONE:
		return 0;
	case ERR_USAGE:
		return EINVAL;
	case ERR_EXISTS:
		return EEXIST;
	case ERR_AUTH:
	case ERR_PERMISSION:
		return EACCES;
	case ERR_BUSY:
		return EBUSY;
	case ERR_UNSUPPORTED:
		return EOPNOTSUPP;
	case ERR_NO_SPACE:
		return ENOSPC;
	case ERR_NO_MEMORY:
		return ENOMEM;
	case ERR_READ_ONLY:
		return EROFS;
	case ERR_NOT_FOUND:
	case ERR_LEASE_HELD:
	case ERR_LEASE_LOST:
	case ERR_CONDITION:
	case ERR_NETWORK:
	case ERR_TIMEOUT:
	case ERR_SERVER:
	case ERR_PROTOCOL:
	case ERR_RANGE:
	case ERR_FORMAT:
	case ERR_CANCELLED:
	case ERR_SYSTEM:
	case ERR_CODE_COUNT:
		break;
	}
	return EIO;
}
