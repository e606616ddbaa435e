import { createParamDecorator, SetMetadata, type ExecutionContext } from '@nestjs/common';
import type { User } from './tokens.js';
import { userOf } from './auth.guard.js';
import { PUBLIC_ROUTE, REQUIRED_ROLES } from './route-metadata.js';

/** The route is open to everyone; without it a bearer token is required. */
export const Public = (): MethodDecorator & ClassDecorator => SetMetadata(PUBLIC_ROUTE, true);

export type Role = 'admin' | 'service';

/** The caller needs one of these roles, else 403 `FORBIDDEN`. */
export const Roles = (...roles: readonly Role[]): MethodDecorator & ClassDecorator =>
  SetMetadata(REQUIRED_ROLES, roles);

/** The authenticated caller, a `User`. Not for `@Public()` routes, which have none. */
export const CurrentUser = createParamDecorator((_data: unknown, context: ExecutionContext): User =>
  userOf(context.switchToHttp().getRequest()),
);
