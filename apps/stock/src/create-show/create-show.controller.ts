import { Controller, Post } from '@nestjs/common';
import { NewShow, type ShowView } from '#libs/contracts';
import { Roles, ZodBody } from '#libs/service-kit';
import { ListShows } from '../list-shows/list-shows.js';
import { CreateShow } from './create-show.js';

@Controller('api/admin/shows')
export class CreateShowController {
  constructor(
    private readonly createShow: CreateShow,
    private readonly listShows: ListShows,
  ) {}

  @Post()
  @Roles('admin')
  async create(@ZodBody(NewShow) show: NewShow): Promise<ShowView> {
    const created = await this.createShow.execute(show);
    // Whoever created it expects to see it.
    this.listShows.forget();
    return created;
  }
}
