import {
  isSupportedCountry,
  parsePhoneNumberFromString,
  type CountryCode,
  type PhoneNumber,
} from 'libphonenumber-js/max';
import { invalidPhone } from './errors.js';

/** One phone, however it was typed. */
export type Phone = {
  /** `+` and at most 15 digits: what is sent to, counted and hashed. */
  e164: string;
  /** ISO 3166; undefined where a number belongs to no country (satellites) or is not assigned. */
  country: string | undefined;
  /**
   * Digits, each different, the phone's own among them. Numbers were once taken as they came, and whoever signed in with
   * another spelling has their orders under that one. The typed spelling is first where it is one of these.
   */
  spellings: readonly string[];
};

/** ISO 3166, two letters: where a number without a country code is at home. */
export type PhoneRegion = CountryCode;
export const isPhoneRegion = (text: string): text is PhoneRegion => isSupportedCountry(text);

/** E.164 with its plus. */
const MOST_DIGITS = 15;
/** What address books and right-to-left texts put around a number when it is copied; nobody sees it. */
const UNSEEN = /[\p{Cf}\p{Cc}]/gu;

/**
 * Reads a phone as people type it: in the national form of `region`, with `+` or `00`, with spaces, dashes, dots and
 * brackets, in full-width or Arabic digits. Digits that are neither are read with their country code.
 *
 * A number must be possible (its country has numbers of that length), not assigned: assignments change more often than
 * libraries, and a code that is sent to nobody harms nobody.
 *
 * @throws {DomainError} `INVALID_REQUEST`
 */
export function phoneOf(typed: string, region: PhoneRegion): Phone {
  const text = typed.normalize('NFKC').replace(UNSEEN, '').trim().replace(/^00/, '+');
  const number = numberOf(text, region);
  if (number === undefined || !number.isPossible() || number.ext !== undefined) throw invalidPhone();
  const e164 = number.number;
  if (e164.length > MOST_DIGITS + 1) throw invalidPhone();
  return { e164, country: number.country, spellings: spellingsOf(number, region, typed) };
}

function numberOf(text: string, region: PhoneRegion): PhoneNumber | undefined {
  const read = (each: string): PhoneNumber | undefined =>
    parsePhoneNumberFromString(each, { defaultCountry: region, extract: false });
  const number = read(text);
  // `491701234567` is a possible number in Leer (0491), but nobody there leaves out the 0.
  if (text.startsWith('+') || (number && digitsIn(number.formatNational()) === digitsIn(text))) return number;
  const international = read(`+${text}`);
  return international?.isValid() === true ? international : number;
}

function spellingsOf(number: PhoneNumber, region: PhoneRegion, typed: string): string[] {
  const { countryCallingCode: code, nationalNumber } = number;
  const own = `${code}${nationalNumber}`;
  const spellings = [own, `00${own}`];
  const national = digitsIn(number.formatNational());
  // Only with a 0 before it: other national numbers are, digit by digit, somebody else's international one.
  if (national === `0${nationalNumber}`) {
    spellings.push(`${code}${national}`);
    if (number.country === region) spellings.push(national);
  }
  const asTyped = digitsOf(typed);
  return spellings.includes(asTyped) ? [...new Set([asTyped, ...spellings])] : spellings;
}

const digitsIn = (text: string): string => text.replace(/\D/g, '');

/** `+49123456` and `49123456` are one phone. */
export function digitsOf(phone: string): string {
  return phone.replace(/^\+/, '');
}
