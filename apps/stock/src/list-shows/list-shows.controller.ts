import { Controller, Get, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { ListShowsQuery, type ShowView } from '#libs/contracts';
import { Public, ZodQuery } from '#libs/service-kit';
import { ListShows } from './list-shows.js';

@Controller('api/shows')
@Public()
export class ListShowsController {
  constructor(private readonly listShows: ListShows) {}

  /** The answer is the list itself, so the next page is named in a header (RFC 8288), relative to whatever host was asked. */
  @Get()
  async list(
    @ZodQuery(ListShowsQuery) query: ListShowsQuery,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ShowView[]> {
    const { shows, next } = await this.listShows.execute(query);
    if (next !== undefined)
      void reply.header('link', `</api/shows?limit=${query.limit}&cursor=${next}>; rel="next"`);
    return shows;
  }
}
