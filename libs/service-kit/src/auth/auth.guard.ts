import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import { HttpProblem } from '../problem/problem.js';
import { PUBLIC_ROUTE, REQUIRED_ROLES } from './route-metadata.js';
import { unauthenticated, verifyToken, type User } from './tokens.js';

const users = new WeakMap<FastifyRequest, User>();

/** @throws {HttpProblem} 401 when the guard has not let anybody in. */
export function userOf(request: FastifyRequest): User {
  const user = users.get(request);
  if (user === undefined) throw unauthenticated('This call needs a bearer token.');
  return user;
}

/** A bearer token on every HTTP route that is not `@Public()`. Messages pass: their broker connection is what was authenticated. */
export class AuthGuard implements CanActivate {
  private readonly reflector = new Reflector();

  /** @param secrets `jwtSecretsOf` the service's configuration */
  constructor(private readonly secrets: readonly string[]) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    if (context.getType() !== 'http') return true;
    const targets = [context.getHandler(), context.getClass()];
    if (this.reflector.getAllAndOverride<boolean | undefined>(PUBLIC_ROUTE, targets) === true) return true;
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const user = await authenticate(request.headers.authorization, this.secrets);
    const roles = this.reflector.getAllAndOverride<readonly string[] | undefined>(REQUIRED_ROLES, targets);
    if (roles !== undefined && !roles.some((role) => user.roles.includes(role))) {
      throw new HttpProblem(403, 'FORBIDDEN', `This call needs the role ${roles.join(' or ')}.`);
    }
    users.set(request, user);
    return true;
  }
}

/**
 * The caller named by an `Authorization` header; for routes outside Nest, which no guard protects.
 *
 * @param secrets `jwtSecretsOf` the service's configuration
 * @throws {HttpProblem} 401 `UNAUTHENTICATED`.
 */
export async function authenticate(
  authorization: string | undefined,
  secrets: readonly string[],
): Promise<User> {
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
  if (token === undefined) throw unauthenticated('This call needs a bearer token.');
  return verifyToken(token, secrets);
}
