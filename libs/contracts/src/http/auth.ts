import { z } from 'zod';
import { Phone } from '../user/user-messages.js';

export const RequestCode = z.strictObject({ phone: Phone });
export const OpenSession = z.strictObject({ phone: Phone, code: z.string().regex(/^\d{6}$/) });
export const SessionResponse = z.object({ token: z.string(), userId: z.string() });
export type SessionResponse = z.output<typeof SessionResponse>;
