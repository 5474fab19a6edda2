/*
 * as_user.h - do something on the file system with a user's rights and no more.
 */
#ifndef HPCPACK_AGENT_AS_USER_H
#define HPCPACK_AGENT_AS_USER_H

#include <sys/types.h>

/*
 * Call fn(arg) as that user: on the calling thread when we are not root or the
 * user is; else on a thread that becomes the user for good, and is waited for.
 * What fn opens stays open. 0, or an errno when fn could not be called.
 */
int as_user(uid_t uid, gid_t gid, void (*fn)(void *arg), void *arg);

#endif
