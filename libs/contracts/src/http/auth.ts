import { z } from 'zod';

/** As people type it: with or without a country code, spaces, dashes, full-width digits. */
const TypedPhone = z.string().min(1).max(64).meta({ example: '+49 170 1234567' });

export const RequestCode = z.strictObject({ phone: TypedPhone });
export const OpenSession = z.strictObject({ phone: TypedPhone, code: z.string().regex(/^\d{6}$/) });
export const SessionResponse = z.object({ token: z.string(), userId: z.string() });
export type SessionResponse = z.output<typeof SessionResponse>;
