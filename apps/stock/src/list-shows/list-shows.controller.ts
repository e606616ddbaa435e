import { Controller, Get } from '@nestjs/common';
import type { ShowView } from '#libs/contracts';
import { Public } from '#libs/service-kit';
import { ListShows } from './list-shows.js';

@Controller('api/shows')
@Public()
export class ListShowsController {
  constructor(private readonly listShows: ListShows) {}

  @Get()
  list(): Promise<ShowView[]> {
    return this.listShows.execute();
  }
}
